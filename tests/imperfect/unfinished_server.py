"""A server that is only begun: it answers logins and refuses none, and does nothing else. That is how far most
servers are when they are checked for the first time; examples/check.py must tell so in a short time.

Usage: unfinished_server.py PORT
"""
import json
import socketserver
import sys


class Session(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            data = self.request.recv(65536)
            if not data:
                return
            try:
                message = json.loads(data.decode())
                command = message["Command"]
            except (ValueError, KeyError, TypeError, RecursionError):
                return
            if command == "01":
                friends = [[message.get("Name"), 1]]  # not done yet: who else is online?
                self.request.sendall(json.dumps({"Command": "11", "Flag": 1, "Friends": friends}).encode())
            # Not done yet: 30 and 31, 04, and all the rest.


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Session).serve_forever()
