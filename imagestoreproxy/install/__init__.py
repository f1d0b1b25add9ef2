"""What happens between a click on Install and a registered image."""
