"""Image Store Proxy: signed image stores on one side, an EC2 and S3 cloud on the other."""

__version__ = "1.0.0.dev0"
