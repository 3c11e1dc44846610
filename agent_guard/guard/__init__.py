"""The guard, the kill path: watches the chain, decides, freezes, kills. Imports no CLI, web framework or database."""
