"""A server with a thread for each client, as it is often written first; examples/check.py tells what is wrong with it.

Usage: threaded_server.py PORT
"""
import json
import socket
import sys
import threading

users = {}  # name: connection. Wrong: all threads use it, and there is no lock.


def send(connection, message):
    connection.send(json.dumps(message).encode())


def tell_others(me, message):
    for name in users:
        if name != me:
            send(users[name], message)  # Wrong: at a connection that is closed, this raises, and the loop ends.


def serve(connection):
    me = None
    while True:
        data = connection.recv(1024)
        if not data:
            break  # Wrong: the user stays in the list, and nobody is told.
        message = json.loads(data)  # Wrong: one recv is not one message.
        command = message["Command"]
        if command == "01":
            name = message["Name"]
            if name in users or len(name) <= 3 or not name.isalnum():  # Wrong: which words are reserved?
                send(connection, {"Command": "11", "Flag": 0, "Friends": []})
                continue
            me = name
            users[me] = connection
            send(connection, {"Command": "11", "Flag": 1, "Friends": [[name, 1] for name in users]})
            tell_others(me, {"Command": "30", "LogOnUserName": me, "IsUserGuest": 1})
        elif command == "03":
            del users[me]
            tell_others(me, {"Command": "31", "LogOutUserName": me})
            break
        elif command == "04":
            send(users[message["FriendName"]], {"Command": "13", "FriendName": me, "Message": message["Message"]})
        elif command == "05":
            for name in users:
                send(users[name], {"Command": "32", "Speaker": me, "Message": message["Message"]})
    connection.close()


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
