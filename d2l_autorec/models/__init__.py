"""The chapter's model taken further."""
