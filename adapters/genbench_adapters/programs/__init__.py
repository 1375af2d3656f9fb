"""What functions and programs in files share: what goes in, and images that come out."""
