#!/usr/bin/env python3
"""A chat window for the classroom chat server, made with Python's standard library alone.

The talking is left to client.py, which must lie beside this file; here is the window. tkinter
belongs to the thread that made it, so there is a queue between the network's thread and the
window's: one puts in what arrives, the other looks into it twenty times a second.
"""
import bisect, collections, itertools, queue, threading, time, tkinter as tk
from tkinter import ttk

from client import UNSAFE, Client

COLOURS = ("#1b5faa", "#a3431f", "#1f7a4d", "#7a3fa0", "#8a6a00", "#0b7285")  # of the speakers
TAGS = {"news": "#777", "good": "#1f7a4d", "bad": "#c0261c"}


def clean(text):  # of what could reorder a line or look like the start of another one
    return UNSAFE.sub(lambda match: ascii(match[0])[1:-1], str(text))


class Network(Client):
    """A connection that queues what arrives. Its end arrives too, as the Command "lost"."""
    def __init__(self, inbox, *address):
        super().__init__(*address)
        self.inbox = inbox

    def show(self, message):
        self.inbox.put((self, message))


class LoginPage(ttk.Frame):
    """Asks where to log in, and as whom."""
    def __init__(self, window):
        super().__init__(window, padding=30)
        self.server, self.port, self.pin, self.name, self.password = (
            tk.StringVar(value=value) for value in ("127.0.0.1", "", "", "", ""))
        self.tls = tk.BooleanVar()
        fields = {"Server": self.server, "Port (if not the usual)": self.port,
                  "TLS fingerprint (if you know it)": self.pin, "Your name": self.name,
                  "Password (guests: none)": self.password}
        for row, (label, variable) in enumerate(fields.items(), 1):
            ttk.Label(self, text=label, justify="right").grid(row=row, sticky="e", padx=8)
            entry = ttk.Entry(self, textvariable=variable, width=28)
            entry.grid(row=row, column=1, columnspan=2, pady=4)
            entry.bind("<Return>", lambda _: window.connect())
        entry.configure(show="•")  # the last one is the password
        ttk.Checkbutton(self, text="use TLS", variable=self.tls).grid(row=6, column=1, pady=8)
        self.buttons = [ttk.Button(self, text="Register", command=lambda: window.connect(True)),
                        ttk.Button(self, text="Log in", command=window.connect)]
        for column, button in enumerate(self.buttons, 1):
            button.grid(row=7, column=column, sticky="e")


class Conversation(ttk.Frame):
    """A tab: what was said in the room, or with one friend."""
    def __init__(self, tabs, title, colours):
        super().__init__(tabs)
        self.tabs, self.title, self.colours, self.unread = tabs, title, colours, 0
        self.unconfirmed = collections.deque()  # marks in the text, where receipts will go
        self.numbers = itertools.count()  # of the marks
        self.text = tk.Text(self, state="disabled", wrap="word", width=54, height=18, padx=8,
                            pady=6, relief="flat", font="TkDefaultFont", spacing1=5)
        scrollbar = ttk.Scrollbar(self, command=self.text.yview)
        self.text.configure(yscrollcommand=scrollbar.set)
        scrollbar.pack(side="right", fill="y")
        self.text.pack(side="left", fill="both", expand=True)
        for tag in ("news", "good", "bad", *COLOURS):
            self.text.tag_configure(tag, foreground=TAGS.get(tag, tag))
        tabs.add(self, text=title)

    def insert(self, where, *pieces):
        """Insert texts, each followed by its colour; stay at the end if that is in sight."""
        at_end = self.text.yview()[1] == 1
        self.text.configure(state="normal")  # the user must not write here, but we must
        self.text.insert(where, *pieces)
        self.text.configure(state="disabled")
        if at_end:
            self.text.see("end")

    def add_speech(self, speaker, text, wants_receipt=False):
        colour = self.colours.setdefault(speaker.lower(), COLOURS[len(self.colours) % len(COLOURS)])
        self.insert("end-1c", time.strftime("%H:%M  "), "news", speaker, colour,
                    ": " + clean(text), "")
        if wants_receipt:  # a mark of gravity "left" stays where it is when text follows
            mark = f"unconfirmed{next(self.numbers)}"
            self.text.mark_set(mark, "end-1c")
            self.text.mark_gravity(mark, "left")
            self.unconfirmed.append(mark)
        self.insert("end-1c", "\n", "")
        if self.tabs.select() != str(self):
            self.set_unread(self.unread + 1)

    def confirm(self, flag, reason):
        """Show a receipt. Those for one friend come in the order of the messages."""
        if self.unconfirmed:
            mark = ("  ✓", "good") if flag else (f"  ✗ {clean(reason)}", "bad")
            self.insert(self.unconfirmed.popleft(), *mark)

    def set_unread(self, count):
        self.unread = count
        self.tabs.tab(self, text=f"{self.title} ({count})" if count else self.title)


class ChatPage(ttk.Frame):
    """Who is online on the left, the conversations on the right, and a line to type in."""
    def __init__(self, window):
        super().__init__(window, padding=8)
        self.window, self.friends, self.private, self.colours = window, {}, {}, {}
        left = ttk.Frame(self)
        left.pack(side="left", fill="y", padx=(0, 8))
        self.heading = ttk.Label(left)
        self.heading.pack(anchor="w")
        self.list = ttk.Treeview(left, show="tree", selectmode="browse", height=8)
        self.list.column("#0", width=170)
        self.list.tag_configure("guest", foreground="#777")
        self.list.pack(fill="both", expand=True, pady=4)
        self.list.bind("<Double-1>", lambda _: self.open_selected())
        ttk.Label(left, text="double-click: write privately", foreground="#777").pack()
        self.tabs = ttk.Notebook(self)
        self.room = Conversation(self.tabs, "Room", self.colours)
        self.tabs.bind("<<NotebookTabChanged>>", lambda _: self.current().set_unread(0))
        self.line = tk.StringVar()
        bottom = ttk.Frame(self)
        self.entry = ttk.Entry(bottom, textvariable=self.line)
        self.entry.bind("<Return>", lambda _: self.send())
        ttk.Button(bottom, text="Send", command=self.send).pack(side="right", padx=(6, 0))
        self.entry.pack(fill="x", expand=True, ipady=4)
        bottom.pack(side="bottom", fill="x", pady=(6, 0))  # first, so that it is never squeezed
        self.tabs.pack(fill="both", expand=True)

    def current(self):
        return self.nametowidget(self.tabs.select())

    def with_friend(self, name):
        """The conversation with a friend, whose name may come in any letter case."""
        if name.lower() not in self.private:
            self.private[name.lower()] = Conversation(self.tabs, name, self.colours)
        return self.private[name.lower()]

    def open_selected(self):
        for item in self.list.selection():
            self.tabs.select(self.with_friend(self.friends[item[1:]]))
            self.entry.focus()

    def send(self):
        text, tab = self.line.get(), self.current()
        if not text or not self.window.is_online:
            return
        self.line.set("")
        if tab is self.room:  # what is said there is shown when it comes back
            self.window.network.send("05", Message=text)
        else:
            tab.add_speech(self.window.name, text, wants_receipt=True)
            self.window.network.send("04", FriendName=tab.title, Message=text)

    def add_friend(self, name, is_guest, is_news):
        key = name.lower()
        note = " (guest)" * bool(is_guest) + " (you)" * (key == self.window.name.lower())
        self.list.insert("", bisect.bisect(sorted(self.friends), key), "@" + key,
                         text=name + note, tags=["guest"] if is_guest else [])
        self.friends[key] = name
        if is_news:
            self.add_news(f"{name} is here", name)

    def remove_friend(self, name):
        del self.friends[name.lower()]
        self.list.delete("@" + name.lower())
        self.add_news(f"{name} has left", name)

    def add_news(self, text, name=None):
        """Tell the room, and the conversation with the friend whom it is about."""
        for tab in (self.room, self.private.get((name or "").lower())):
            if tab:
                tab.insert("end-1c", clean(text) + "\n", "news" if name else "bad")


class Window(tk.Tk):
    """The window, and what happens when something arrives."""
    def __init__(self):
        super().__init__()
        self.title("Classroom chat")
        if self.tk.call("tk", "windowingsystem") == "x11":
            ttk.Style().theme_use("clam")  # the usual one looks its age
            ttk.Style().configure(".", background="#f2f3f5")
            self.configure(background="#f2f3f5")
        self.inbox, self.network, self.is_online = queue.Queue(), None, False
        bar = ttk.Frame(self, padding=(8, 4))
        bar.pack(side="bottom", fill="x")
        self.status = ttk.Label(bar, wraplength=560)
        self.status.pack(side="left")
        self.reconnect_button = ttk.Button(bar, text="Reconnect", command=self.connect)
        self.login, self.chat = LoginPage(self), ChatPage(self)
        self.login.pack(expand=True)
        self.protocol("WM_DELETE_WINDOW", self.close)
        self.poll()

    def tell(self, text, is_bad=False):
        self.status.configure(text=clean(text), foreground="#c0261c" if is_bad else "#333")

    def connect(self, registering=False):
        """Start to connect, on a thread of its own: until it succeeds, the window must live."""
        page = self.login
        self.name, self.registering = page.name.get().strip(), registering
        host, port, pin = (each.get().strip() for each in (page.server, page.port, page.pin))
        tls = page.tls.get()
        self.disconnect()
        self.allow_connecting(False)
        self.tell(f"connecting to {host} …")

        def work():
            try:
                network = Network(self.inbox, host, int(port or 0), tls, pin or None)
                arrival = network, {"Command": "new"}
            except (OSError, ValueError, OverflowError) as error:
                arrival = None, {"Command": "lost", "Message": error}
            self.inbox.put(arrival)

        threading.Thread(target=work, daemon=True).start()

    def allow_connecting(self, is_allowed):
        for button in (*self.login.buttons, self.reconnect_button):
            button.state(["!disabled" if is_allowed else "disabled"])

    def disconnect(self):
        if self.network:
            self.network.leaving = True
            self.network.send("03")
        self.network, self.is_online = None, False

    def close(self):
        self.disconnect()
        self.destroy()

    def poll(self):
        """Act on what has arrived, but on so much at a time that the window stays alive."""
        self.after(50, self.poll)
        for _ in range(min(200, self.inbox.qsize())):
            network, message = self.inbox.get()
            if message.get("Command") == "new":
                self.disconnect()
                self.network = network
            if network is self.network:  # and not one that was given up
                self.act_on(message)
        self.chat.heading.configure(text=f"Online: {len(self.chat.friends)}")

    def act_on(self, message):
        command, flag = message.get("Command"), message.get("Flag")
        text, name = message.get("Message", ""), message.get("FriendName", "")
        if command == "new":
            self.allow_connecting(True)
            self.network.start()
            for request in ("02", "01") if self.registering else ("01",):
                self.network.send(request, Name=self.name, Password=self.login.password.get())
        elif command == "11" and flag == 1:
            self.enter(message["Friends"])
        elif command in ("11", "12", "lost") and flag != 1:
            self.leave(f"{'not connected' if command == 'lost' else 'refused'}: {text}")
        elif command == "10":
            self.chat.add_news(f"The server says: {text}")
        elif command == "13":
            self.chat.with_friend(name).add_speech(name, text)
        elif command == "14" and flag is not None:  # a receipt; without a flag, a heartbeat
            self.chat.with_friend(name).confirm(flag, text)
        elif command == "30":
            self.chat.add_friend(message["LogOnUserName"], message.get("IsUserGuest"), True)
        elif command == "31":
            self.chat.remove_friend(message["LogOutUserName"])
        elif command == "32":
            self.chat.room.add_speech(message["Speaker"], text)

    def enter(self, friends):
        """Show the chat: the login has succeeded."""
        self.chat.list.delete(*self.chat.list.get_children())
        self.chat.friends.clear()
        for name, is_guest in friends:
            self.chat.add_friend(name, is_guest, is_news=False)
        self.is_online = True
        self.login.pack_forget()
        self.reconnect_button.pack_forget()
        self.chat.pack(fill="both", expand=True)
        self.chat.entry.focus()
        self.tell(f"online as {self.name}")
        if self.network.found and not self.login.pin.get().strip():
            self.chat.add_news(f"NOT verified: its fingerprint is {self.network.found}")

    def leave(self, why):
        """Say why there is no connection, and offer another try."""
        self.disconnect()
        for tab in self.chat.private.values():
            while tab.unconfirmed:
                tab.confirm(0, "the connection was lost")
        self.allow_connecting(True)
        if self.chat.winfo_manager():
            self.chat.add_news(why)
            self.reconnect_button.pack(side="right")
        self.tell(why, is_bad=True)


if __name__ == "__main__":
    Window().mainloop()
