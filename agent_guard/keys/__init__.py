"""Keys: version 3 keystores in Foundry's folder, unlocked with a password that never stands on a command line."""
