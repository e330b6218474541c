"""A server as it is often written first. It works at the desk; examples/check.py tells what is wrong with it.

Usage: naive_server.py PORT
"""
import json
import select
import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
connections = []
users = {}  # name: connection


def send(connection, **message):
    try:
        connection.sendall(json.dumps(message).encode())
    except OSError:
        pass


def tell_others(me, **message):
    for connection in users.values():
        if connection is not me:
            send(connection, **message)


def name_of(connection):
    for name in users:
        if users[name] is connection:
            return name


def log_in(connection, message):
    name = message["Name"]
    # Wrong: the length is not checked, and isalnum() is true for Chinese characters.
    if not name.isalnum() or name in users or name in ("admin", "administrator", "guest", "user", "table"):
        send(connection, Command="11", Flag=0, Friends=[])
        return
    users[name] = connection
    send(connection, Command="11", Flag=1, Friends=[(each, 1) for each in users])
    tell_others(connection, Command="30", LogOnUserName=name)


def log_out(connection):
    for name in users:
        if users[name] is connection:
            del users[name]  # Wrong: a dictionary may not change while a loop goes over it.
            tell_others(connection, Command="31", LogOutUserName=name)


def private(connection, message):
    friend = users.get(message["FriendName"])
    if friend:
        send(friend, Command="13", FriendName=name_of(connection), Message=message["Message"])


while True:
    for ready in select.select([listener, *connections], [], [])[0]:
        if ready is listener:
            connections.append(listener.accept()[0])
            continue
        try:
            data = ready.recv(1024)
        except OSError:
            data = b""
        if not data:
            connections.remove(ready)
            users.pop(name_of(ready), None)  # Wrong: nobody is told.
            ready.close()
            continue
        try:
            message = json.loads(data.decode())  # Wrong: one recv is not one message.
            command = message["Command"]
        except (ValueError, KeyError, TypeError) as error:
            print("cannot read", data[:80], error)
            continue
        if command == "01":
            log_in(ready, message)
        elif command == "03":
            log_out(ready)
        elif command == "04":
            private(ready, message)
