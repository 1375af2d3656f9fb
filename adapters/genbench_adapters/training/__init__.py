"""What the families' training recipes share."""
