"""Public keys that come with the package."""

from __future__ import annotations

from pathlib import Path

# Both keys of Ubuntu's cloud images: D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81 and
# 4A3CE3CD565D7EB5C810E2B97FF3F408476CF100. The same file as image-store-key.asc of the project.
UBUNTU = Path(__file__).with_name("ubuntu-cloud-images.asc")
