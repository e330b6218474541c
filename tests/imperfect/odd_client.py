"""A client that does what the protocol leaves open in an odd way, and knows the commands of the protocol only.

Usage: odd_client.py HOST PORT; then type the name, and lines such as "all hello" or "one Bobby hello", or "bye"

Allowed: `Command` is a number, a length stands before each object, text is escaped, and the password is empty.

Wrong: an unknown command is a KeyError, and every 14 is taken for a receipt.
"""
import json
import socket
import struct
import sys
import threading

connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
stream = connection.makefile("rb")


def send(command, **keys):
    data = json.dumps({"Command": command, **keys}, indent=2).encode()
    connection.sendall(struct.pack(">I", len(data)) + data)


def read():
    shown = {
        11: lambda message: ("online:", [name for name, _guest in message["Friends"]]),
        13: lambda message: (message["FriendName"] + ":", message["Message"]),
        14: lambda message: ("sent:", message["Flag"]),
        30: lambda message: ("new:", message["LogOnUserName"]),
        31: lambda message: ("gone:", message["LogOutUserName"]),
        32: lambda message: (message["Speaker"] + " to all:", message["Message"]),
    }
    while True:
        head = stream.read(4)
        if len(head) < 4:
            return
        message = json.loads(stream.read(struct.unpack(">I", head)[0]))
        print(*shown[int(message.get("Command", message.get("Comment")))](message))


send(1, Name=input().strip(), Password="")
threading.Thread(target=read, daemon=True).start()
for line in sys.stdin:
    action, _, rest = line.strip().partition(" ")
    if action == "all":
        send(5, Message=rest)
    elif action == "one":
        friend, _, text = rest.partition(" ")
        send(4, FriendName=friend, Message=text)
    elif action == "bye":
        send(3)
        connection.close()
        break
