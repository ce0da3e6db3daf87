import CZlib
import Crypto
import Subprocess
