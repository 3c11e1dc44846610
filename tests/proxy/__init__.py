"""A programmable JSON-RPC proxy: it stands in front of a real Anvil and plays every bad node. For tests only.

Everything true comes from the Anvil behind it; everything false is said in `Proxy`, by the test, at any moment. Tests
get one from the fixture `rpc_proxy`, and second chains from the fixture `twin`.
"""

from tests.proxy.chains import dump, reorg_away, rpc
from tests.proxy.proxy import Proxy

__all__ = ["Proxy", "dump", "reorg_away", "rpc"]
