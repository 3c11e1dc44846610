"""The command line: one module for each noun, one exit for text (`output`)."""
