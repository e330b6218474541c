#!/usr/bin/env python3
# coding: utf-8
"""A chat window for the classroom chat server, made with Python's standard library alone.

The talking is left to client.py, which must lie beside this file; here is the window. tkinter
belongs to the thread that made it, so there is a queue between the network's thread and the
window's: one puts in what arrives, the other looks into it twenty times a second.
"""
from client import UNSAFE, Client  # first, because it says which Python is needed
import bisect, collections, contextlib, itertools, queue, socket, ssl, sys, time
try:
    import tkinter as tk
    from tkinter import ttk
except ImportError:
    sys.exit("This needs tkinter. On Debian and Ubuntu: sudo apt install python3-tk")

COLOURS = ("#1b5faa", "#a3431f", "#1f7a4d", "#7a3fa0", "#8a6a00", "#0b7285")  # of the speakers
TAGS = {"news": "#666", "good": "#1f7a4d", "bad": "#c0261c"}
CONNECT_WITHIN = 15  # seconds
LONGEST, MOST_LINES = 2000, 5000  # characters shown of one text; lines kept of one conversation
IN_WORDS = (  # what an error means (the first that fits), as each system has words of its own
    ((socket.gaierror, UnicodeError), "no machine of this name was found"),
    (ssl.SSLError, "no TLS came about; is this the server's port for TLS?"),
    (ConnectionRefusedError, "no server runs at this address and port"),
    ((socket.timeout, TimeoutError), "no answer; is this its address, and the same network?"),
    (ConnectionResetError, "the server broke it off"), (OverflowError, "a port is below 65536"),
    (OSError, "there is no way from here to this address"))


def clean(text):  # of what could reorder a line or look like the start of another one
    text = UNSAFE.sub(lambda match: ascii(match.group())[1:-1], text)
    if sys.version_info < (3, 8):  # whose tkinter refuses these
        text = "".join(each if each < "\U00010000" else ascii(each)[1:-1] for each in text)
    rest = len(text) - LONGEST
    return text if rest <= 0 else "{} … (cut: {} more characters)".format(text[:LONGEST], rest)


class Network(Client):
    """A connection that queues what arrives. Its end arrives too, as the Command "lost"."""
    def __init__(self, inbox, registering, *details):
        super().__init__(*details, comes_back=True)
        self.inbox, self.registering = inbox, registering

    def show(self, message):
        self.inbox.put((self, message))
        if message.get("Command") == "12":
            self.registering = self.registering and message.get("Flag") != 1

    def connect(self):
        self.show({"Command": "connecting"})
        super().connect()
        if self.leaving:
            raise ConnectionError("given up")
        if self.registering:
            self.send("02", Name=self.name, Password=self.password)

    def leave(self):
        super().leave()
        with self.lock, contextlib.suppress(OSError, AttributeError):
            if not self.online:  # it must not come online after this
                self.sock.shutdown(socket.SHUT_RDWR)

    def in_words(self, error):
        if isinstance(error, OSError) and error.errno is None and not isinstance(error, socket.timeout):
            return error  # it is in words already
        return next((words for kinds, words in IN_WORDS if isinstance(error, kinds)), error)


class LoginPage(ttk.Frame):
    """Asks where to log in, and as whom."""
    def __init__(self, window):
        super().__init__(window, padding=10)
        self.server, self.port, self.pin, self.name, self.password = (
            tk.StringVar(value=value) for value in ("127.0.0.1", "", "", "", ""))
        self.tls = tk.BooleanVar()
        fields = {"Server": self.server, "Port, if unusual": self.port, "Your name": self.name,
                  "Password, if any": self.password, "Fingerprint, if known": self.pin}
        self.entries = {}
        for row, (label, variable) in enumerate(fields.items()):
            ttk.Label(self, text=label).grid(row=row, sticky="e", padx=(0, 8))
            self.entries[label] = entry = ttk.Entry(self, textvariable=variable, width=10)
            entry.grid(row=row, column=1, columnspan=2, sticky="ew", pady=2)
            entry.bind("<Return>", lambda _: window.connect())
        self.entries["Password, if any"].configure(show="•")
        ttk.Checkbutton(self, text="use TLS", variable=self.tls).grid(row=5, sticky="e", padx=8)
        register = lambda: window.connect(registering=True)
        self.buttons = [ttk.Button(self, text="Register", width=8, command=register),
                        ttk.Button(self, text="Log in", width=8, command=window.connect)]
        for column, button in enumerate(self.buttons, 1):
            button.grid(row=5, column=column, sticky="ew", pady=4)
        self.reason = ttk.Label(self)
        self.reason.grid(row=6, columnspan=3, sticky="ew")
        self.reason.bind("<Configure>", wrap)
        self.columnconfigure((1, 2), weight=1)

    def focus_entry(self):
        """Let the user type where something is missing."""
        self.entries["Your name" if self.server.get() else "Server"].focus()


class Conversation(ttk.Frame):
    """A tab: what was said in the room, or with one friend."""
    def __init__(self, page, title):
        super().__init__(page.tabs)
        self.page, self.title, self.unread, self.follows = page, title, 0, True
        self.unconfirmed = collections.deque()  # marks in the text, where receipts will go
        self.numbers = itertools.count()  # of the marks
        self.text = tk.Text(self, state="disabled", wrap="word", width=1, height=1, padx=8,
                            pady=6, relief="flat", font="TkDefaultFont", spacing1=5)
        scrollbar = ttk.Scrollbar(self, command=self.scroll)
        self.text.configure(yscrollcommand=scrollbar.set)
        scrollbar.pack(side="right", fill="y")
        self.text.pack(side="left", fill="both", expand=True)
        for tag in ("news", "good", "bad") + COLOURS:
            self.text.tag_configure(tag, foreground=TAGS.get(tag, tag))
        for event in ("<MouseWheel>", "<Button-4>", "<Button-5>", "<KeyRelease>", "<ButtonRelease>"):
            self.text.bind(event, lambda _: self.after_idle(self.look_where_it_stands))
        self.text.bind("<Configure>", lambda _: self.after_idle(self.follow))
        self.text.bind("<Key>", self.type_elsewhere)

    def scroll(self, *where):
        self.text.yview(*where)
        self.look_where_it_stands()

    def look_where_it_stands(self):
        """Called when the user has scrolled, who may have left the end or come back to it."""
        self.follows = self.text.yview()[1] == 1

    def follow(self):
        if self.follows:
            self.text.see("end-1c")

    def type_elsewhere(self, event):
        """One may have clicked here, but there is only one place to type in."""
        if event.char.isprintable() and event.char and not event.state & 4:  # 4: Ctrl
            self.page.entry.focus()
            self.page.entry.insert("insert", event.char)
            return "break"

    def insert(self, where, *pieces):
        """Insert texts, each followed by its colour; stay at the end if that was in sight."""
        self.text.configure(state="normal")  # the user must not write here, but we must
        self.text.insert(where, *pieces)
        surplus = int(self.text.index("end").split(".")[0]) - MOST_LINES
        if surplus > 0:
            self.text.delete("1.0", "{}.0".format(surplus + MOST_LINES // 10))
        self.text.configure(state="disabled")
        self.follow()

    def add_speech(self, speaker, text, wants_receipt=False):
        colours = self.page.colours
        colour = colours.setdefault(speaker.lower(), COLOURS[len(colours) % len(COLOURS)])
        self.insert("end-1c", time.strftime("%H:%M  "), "news", clean(speaker), colour,
                    ": " + clean(text), "")
        if wants_receipt:  # a mark of gravity "left" stays where it is when text follows
            mark = "unconfirmed{}".format(next(self.numbers))
            self.text.mark_set(mark, "end-1c")
            self.text.mark_gravity(mark, "left")
            self.unconfirmed.append(mark)
        self.insert("end-1c", "\n", "")
        if self.page.current() is not self:
            self.unread += 1
            self.page.show_tab(self)

    def confirm(self, flag, reason):
        """Show a receipt. Those for one friend come in the order of the messages."""
        if self.unconfirmed:
            mark = ("  ✓", "good") if flag else ("  ✗ " + clean(reason), "bad")
            self.insert(self.unconfirmed.popleft(), *mark)


class ChatPage(ttk.Frame):
    """Who is online on the left, the conversations on the right, and a line to type in."""
    def __init__(self, window):
        super().__init__(window, padding=6)
        self.window, self.friends, self.private, self.colours = window, {}, {}, {}
        left = ttk.Frame(self)
        left.pack_propagate(False)  # its width depends on the window's, not on names
        self.bind("<Configure>", lambda event: left.configure(width=min(190, event.width * 35 // 100)))
        left.pack(side="left", fill="y", padx=(0, 6))
        self.heading = ttk.Label(left)
        self.heading.pack(anchor="w")
        private = ttk.Button(left, text="Private chat", width=1, command=self.open_selected)
        private.pack(side="bottom", fill="x")
        self.list = ttk.Treeview(left, show="tree", selectmode="browse", height=1)
        self.list.tag_configure("guest", foreground="#666")
        self.list.tag_configure("unread", foreground="#c0261c")
        scrollbar = ttk.Scrollbar(left, command=self.list.yview)
        self.list.configure(yscrollcommand=scrollbar.set)
        scrollbar.pack(side="right", fill="y", pady=4)
        self.list.pack(fill="both", expand=True, pady=4)
        for event in ("<Double-1>", "<Return>"):
            self.list.bind(event, lambda _: self.open_selected())
        self.line = tk.StringVar()
        bottom = ttk.Frame(self)
        self.entry = ttk.Entry(bottom, textvariable=self.line)
        self.entry.bind("<Return>", lambda _: self.send())
        ttk.Button(bottom, text="Send", width=6, command=self.send).pack(side="right", padx=(6, 0))
        self.entry.pack(fill="x", expand=True, ipady=2)
        bottom.pack(side="bottom", fill="x", pady=(6, 0))  # first, so that it is never squeezed
        ttk.Style().configure("TNotebook", tabmargins=(2, 2, 34, 0))  # there is the cross:
        ttk.Style().configure("TNotebook.Tab", padding=(4, 2))
        self.tabs = ttk.Notebook(self, width=1, height=1)
        self.tabs.enable_traversal()
        self.cross = ttk.Button(self.tabs, text="×", width=2, takefocus=0, command=self.close_tab)
        self.tabs.bind("<<NotebookTabChanged>>", lambda _: self.look_at_tab())
        self.tabs.bind("<Configure>", lambda _: self.show_tabs())
        window.bind("<Control-w>", lambda _: self.close_tab())
        self.tabs.pack(fill="both", expand=True)
        self.room = Conversation(self, "Room")
        self.show_tab(self.room)

    def current(self):
        return self.nametowidget(self.tabs.select()) if self.tabs.select() else self.room

    def with_friend(self, name):
        """The conversation with a friend, whose name may come in any letter case. One whose tab
        was closed has kept what was said."""
        tab = self.private.setdefault(name.lower(), None) or Conversation(self, name)
        self.private[name.lower()] = tab
        self.show_tab(tab)
        return tab

    def show_tab(self, tab):
        if str(tab) not in self.tabs.tabs():
            self.tabs.add(tab)
        self.show_tabs()

    def show_tabs(self):
        """Write on each tab as much of its name as there is room for, and how much is unread."""
        shown = self.tabs.tabs()
        room = max(4, (self.tabs.winfo_width() - 40) // max(1, len(shown)) // 9 - 2)
        for each in map(self.nametowidget, shown):
            count = " ({})".format(each.unread) if each.unread else ""
            space = max(2, room - len(count))
            name = each.title if len(each.title) <= space else each.title[:space - 1] + "…"
            self.tabs.tab(each, text=clean(name) + count)
        for key, tab in self.private.items():  # there may be more tabs than one can see
            if key in self.friends:
                is_guest = self.list.item("@" + key, "text").endswith(" (guest)")
                tag = "unread" if tab.unread else "guest" if is_guest else ""
                self.list.item("@" + key, tags=[tag])

    def look_at_tab(self):
        tab = self.current()
        tab.unread = 0
        self.show_tabs()
        self.cross.place_forget() if tab is self.room else self.cross.place(relx=1, anchor="ne")
        tab.follow()
        if self.winfo_manager():  # not while the login is shown
            self.entry.focus()

    def close_tab(self):
        if self.current() is not self.room:
            self.tabs.forget(self.current())

    def open_selected(self):
        for item in self.list.selection():
            self.tabs.select(self.with_friend(self.friends[item[1:]]))
        self.entry.focus()

    def send(self):
        text, tab = self.line.get(), self.current()
        if not self.window.network or not self.window.network.online:
            self.window.bell()  # the text stays, and the line below says why
        elif text:
            self.line.set("")
            if tab is self.room:  # what is said there is shown when it comes back
                self.window.network.send("05", Message=text)
            else:
                tab.add_speech(self.window.network.name, text, wants_receipt=True)
                self.window.network.send("04", FriendName=tab.title, Message=text)
            tab.follows = True
            tab.follow()

    def set_friends(self, friends):
        self.list.delete(*self.list.get_children())
        self.friends.clear()
        for name, is_guest in sorted(friends, key=lambda friend: friend[0].lower()):
            self.add_friend(name, is_guest)

    def add_friend(self, name, is_guest):
        key, keys = name.lower(), sorted(self.friends)
        if key not in self.friends:
            note = " (you)" * (key == self.window.network.name.lower()) + " (guest)" * bool(is_guest)
            self.list.insert("", bisect.bisect(keys, key), "@" + key, text=clean(name) + note,
                             tags=["guest"] if is_guest else [])
        self.friends[key] = name

    def remove_friend(self, name):
        if self.friends.pop(name.lower(), None):
            self.list.delete("@" + name.lower())

    def add_news(self, text, colour, *tabs):
        """Tell the room and the other conversations that it concerns."""
        for tab in {self.room}.union(tabs) - {None}:
            tab.insert("end-1c", clean(text) + "\n", colour)


class Window(tk.Tk):
    """The window, and what happens when something arrives."""
    def __init__(self):
        super().__init__()
        self.title("Classroom chat")
        self.geometry("640x480")
        self.minsize(400, 300)
        if self.tk.call("tk", "windowingsystem") == "x11":
            ttk.Style().theme_use("clam")  # the usual one looks its age
            ttk.Style().configure(".", background="#f2f3f5")
            self.configure(background="#f2f3f5")
        self.inbox, self.network = queue.Queue(), None
        self.bar = ttk.Frame(self, padding=(6, 0, 6, 4))
        retry = lambda: self.network.wake.set()
        self.retry_button = ttk.Button(self.bar, text="Try now", width=7, command=retry)
        self.leave_button = ttk.Button(self.bar, text="Log out", width=7, command=self.log_out)
        self.leave_button.pack(side="right")
        self.status = ttk.Label(self.bar)
        self.status.pack(side="left", fill="x", expand=True)
        self.status.bind("<Configure>", wrap)
        self.login, self.chat = LoginPage(self), ChatPage(self)
        self.protocol("WM_DELETE_WINDOW", self.close)
        self.log_out()
        self.poll()

    def tell(self, text, is_bad=False):
        for label in (self.status, self.login.reason):
            label.configure(text=clean(text), foreground="#c0261c" if is_bad else "#333")

    def connect(self, registering=False):
        """Start a network thread, which connects: the window must live meanwhile."""
        page = self.login
        host, port, pin = (each.get().strip() for each in (page.server, page.port, page.pin))
        if not host or not page.name.get().strip():
            return self.tell("Server and name are needed.", is_bad=True)
        if port and not (port.isdigit() and 0 < int(port) < 65536):
            return self.tell("A port is a number from 1 to 65535.", is_bad=True)
        self.disconnect()
        self.allow_connecting(False)
        self.network = Network(self.inbox, registering, host, int(port or 0), page.tls.get(),
                               pin or None, page.name.get().strip(), page.password.get())
        self.network.start()
        self.after(CONNECT_WITHIN * 1000, self.give_up, self.network)

    def give_up(self, network):
        if network is self.network and network.online is None and not network.sock:
            self.leave("no answer from {} in {} s".format(network.address[0], CONNECT_WITHIN))

    def allow_connecting(self, is_allowed):
        for button in self.login.buttons:
            button.state(["!disabled" if is_allowed else "disabled"])

    def disconnect(self):
        if self.network:
            self.network.leave()
        self.network = None

    def log_out(self):
        """Go back to the login; who logs in next must not read what was said."""
        self.chat.destroy()
        self.chat = ChatPage(self)
        self.login.password.set("")
        self.leave("")

    def leave(self, why):
        """Show the login, and why the last one is over."""
        self.disconnect()
        self.allow_connecting(True)
        self.bar.pack_forget()
        self.chat.pack_forget()
        self.login.pack(fill="both", expand=True)
        self.login.focus_entry()
        self.tell(why, is_bad=True)

    def close(self):
        self.disconnect()
        self.destroy()

    def poll(self):
        """Act on what has arrived, but on so much at a time that the window stays alive."""
        self.after(50, self.poll)
        for _ in range(min(200, self.inbox.qsize())):
            network, message = self.inbox.get()
            if network is self.network:  # and not one that was given up
                self.act_on(message)
        self.chat.heading.configure(text="Online: {}".format(len(self.chat.friends)))

    def act_on(self, message):
        command, flag, chat = message.get("Command"), message.get("Flag"), self.chat
        text, name = message.get("Message", ""), message.get("FriendName", "?")
        if command == "connecting":
            self.tell("connecting to {} …".format(self.network.address[0]))
        elif command == "11":
            self.enter(message["Friends"])
        elif command == "12" and flag == 0 and self.network.registering:
            self.leave("not registered: " + text)
        elif command == "lost":
            self.lose(text, flag and message["Pause"])
        elif command == "unverified":
            chat.add_news("NOT verified: its fingerprint is " + text, "bad")
        elif command == "10":
            chat.add_news("The server says: " + text, "bad", chat.current())
        elif command == "13":
            chat.with_friend(name).add_speech(name, text)
        elif command == "14" and flag is not None and name.lower() in chat.private:  # a receipt
            chat.private[name.lower()].confirm(flag, text)
        elif command == "32":
            chat.room.add_speech(message.get("Speaker", "?"), text)
        elif command == "30" and "LogOnUserName" in message:
            name = message["LogOnUserName"]
            chat.add_friend(name, message.get("IsUserGuest"))
            chat.add_news(name + " is here", "news", chat.private.get(name.lower()))
        elif command == "31" and "LogOutUserName" in message:
            name = message["LogOutUserName"]
            chat.remove_friend(name)
            chat.add_news(name + " has left", "news", chat.private.get(name.lower()))

    def enter(self, friends):
        """Show the chat: the login has succeeded, the first one or that after a loss."""
        if self.chat.winfo_manager():
            self.chat.add_news("online again", "good", *self.chat.private.values())
        self.login.pack_forget()
        self.retry_button.pack_forget()
        self.bar.pack(side="bottom", fill="x")
        self.chat.pack(fill="both", expand=True)
        self.chat.set_friends(friends)
        self.chat.entry.focus()
        self.tell("online as " + self.network.name)

    def lose(self, why, pause):
        """Say why there is no connection, and, if the network will try again, when."""
        if not pause:
            return self.leave(why)
        for tab in self.chat.private.values():
            while tab.unconfirmed:
                tab.confirm(0, "the connection was lost")
        if self.status.cget("text").startswith("online"):
            self.chat.add_news(why, "bad", *self.chat.private.values())
        self.chat.set_friends([])  # nobody knows
        self.retry_button.pack(side="right", before=self.status)
        self.tell("{}; trying again in {} s".format(why, pause), is_bad=True)


def wrap(event):
    """Break a label's text into lines where there is no more room."""
    event.widget.configure(wraplength=event.width)


if __name__ == "__main__":
    try:
        window = Window()
    except tk.TclError as error:
        sys.exit("There is no window: {}".format(error))
    window.mainloop()
