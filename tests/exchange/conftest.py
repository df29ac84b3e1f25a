"""Makes `exchange_clients`, the helpers of this folder, importable under pytest's importlib mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
