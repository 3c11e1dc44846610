"""Every corruption of Certificate Transparency's own suite, on every published proof (`tests/vectors/probes.py`)."""

import pytest

from agent_guard.merkle import ProofError, verify_consistency, verify_inclusion
from tests.vectors import probes

pytestmark = pytest.mark.unit

INCLUSIONS = [
    pytest.param(wrong, id=f"{right.index} of {right.size}: {name}")
    for right in probes.inclusions()
    for name, wrong in probes.wrong_inclusions(right)
]
CONSISTENCIES = [
    pytest.param(wrong, id=f"{right.old_size} to {right.new_size}: {name}")
    for right in probes.consistencies()
    if right.proof
    for name, wrong in probes.wrong_consistencies(right)
]
ADDITIONAL = [pytest.param(wrong, id=name) for name, wrong in probes.additional_consistencies()]


def test_every_published_proof_holds() -> None:
    for inclusion in probes.inclusions():
        verify_inclusion(*inclusion)
    for consistency in probes.consistencies():
        verify_consistency(*consistency)


@pytest.mark.parametrize("wrong", INCLUSIONS)
def test_corrupted_inclusion_proof_is_refused(wrong: probes.Inclusion) -> None:
    with pytest.raises(ProofError):
        verify_inclusion(*wrong)


@pytest.mark.parametrize("wrong", [*CONSISTENCIES, *ADDITIONAL])
def test_corrupted_consistency_proof_is_refused(wrong: probes.Consistency) -> None:
    with pytest.raises(ProofError):
        verify_consistency(*wrong)
