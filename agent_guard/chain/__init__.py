"""The chain: one endpoint's reads and transactions, the council's records, and the view the guard watches."""
