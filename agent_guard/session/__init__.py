"""One guarded run, from the first look at the chain to the anchored death receipt: where the parts meet."""
