"""The whole story in a minute, by the commands a user would type (a face; nothing else imports it)."""
