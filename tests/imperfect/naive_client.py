"""A client as it is often written first; examples/check.py tells what is wrong with it.

Usage: naive_client.py HOST PORT NAME; then type lines such as "@Bobby hello", or "/quit"
"""
import json
import socket
import sys
import threading

connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
friends = []


def read():
    while True:
        data = connection.recv(1024)
        if not data:
            return
        message = json.loads(data)  # Wrong: one recv is not one message, and an exception ends the thread.
        command = message["Command"]  # Wrong: a receipt may have only Comment.
        if command == "11":
            friends.extend(name for name, _guest in message["Friends"])
            print("online:", *friends)
        elif command == "13":
            print(message["FriendName"], "writes", message["Message"])
        elif command == "30":
            print(message["LogOnUserName"], "is here")
        elif command == "31":
            friends.remove(message["LogOutUserName"])  # Wrong: who came by 30 is not in the list.


connection.sendall(b'{"Command": "01", "Name": "%s"}' % sys.argv[3].encode())
threading.Thread(target=read, daemon=True).start()
for line in sys.stdin:
    line = line.strip()
    if line.startswith("@"):
        friend, text = line[1:].split(" ", 1)
        # Wrong: this is no JSON if there are quotes in the text.
        connection.sendall(('{"Command": "04", "FriendName": "' + friend + '", "Message": "' + text + '"}').encode())
    elif line == "/quit":
        break  # Wrong: nothing is sent.
