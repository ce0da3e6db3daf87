import AsyncHTTPClient
import NIOCore
import NIOSSL
