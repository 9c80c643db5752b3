"""The notifier port and its adapters: messages to people."""
