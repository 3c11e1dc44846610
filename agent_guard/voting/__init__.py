"""Voting: what a vote would mean, in words and before it is signed; casting it; relaying ballots; open questions."""
