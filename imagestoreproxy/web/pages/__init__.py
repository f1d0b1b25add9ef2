"""The pages of the API, each answered by what stands in ``shop.py``."""
