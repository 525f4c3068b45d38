"""Pictures: one function each, every one with a text alternative."""
