"""A local chain for development, demonstrations and tests: Foundry's Anvil."""
