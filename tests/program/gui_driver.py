"""Works the window of gui_client.py for a test: does what each line of standard input says, and
prints every change of what the window shows. Its one argument is the folder of gui_client.py."""
import queue, sys, threading

sys.path.insert(0, sys.argv[1])
import gui_client


class Driver:
    def __init__(self):
        self.window, self.lines, self.shown = gui_client.Window(), queue.Queue(), {}
        self.window.report_callback_exception = self.fail
        threading.Thread(target=self.read, daemon=True).start()
        self.look()
        self.window.mainloop()

    def fail(self, *error):
        """What a callback raises must fail the test, while tkinter only prints it."""
        print("EXCEPTION", error[0].__name__, error[1], flush=True)
        sys.__excepthook__(*error)

    def read(self):
        for line in sys.stdin:
            self.lines.put(line.rstrip("\n"))

    def look(self):
        self.window.after(10, self.look)
        if not self.lines.empty():
            self.act(*self.lines.get().split(" ", 1))
        if self.lines.empty():
            self.compare()

    def act(self, word, rest=""):
        window, chat = self.window, self.window.chat
        if word == "fill":
            field, value = rest.split(" ", 1)
            getattr(window.login, field).set(value)
        elif word == "tick":
            window.login.tls.set(True)
        elif word == "press":
            buttons = (*window.login.buttons, window.retry_button, window.leave_button, chat.cross)
            next(each for each in buttons if each.cget("text") == rest).invoke()
        elif word == "open":
            chat.list.selection_set("@" + rest.lower())
            chat.open_selected()
        elif word == "room":
            chat.tabs.select(chat.room)
        elif word == "scroll":  # as the scrollbar would
            chat.current().scroll("moveto", rest)
        elif word == "key":  # while the focus is where one can't type
            chat.current().text.focus_force()
            chat.current().text.event_generate("<Key>", keysym=rest)
        elif word == "ping":
            print("pong", rest, flush=True)
        elif word == "type":
            chat.line.set(rest)
            chat.send()
        elif word == "geometry":
            window.geometry(rest)
        elif word == "close":
            window.close()
            sys.exit(0)

    def compare(self):
        """Print each part of the window that has changed."""
        window, chat = self.window, self.window.chat
        friends = [chat.list.item(item, "text") for item in chat.list.get_children()]
        shown = {"status": window.status.cget("text"),
                 "friends": f"{len(friends)}: " + ", ".join(friends)}
        shown["tabs"] = ", ".join(chat.tabs.tab(tab, "text") for tab in chat.tabs.tabs())
        shown["can retry"] = str(bool(window.retry_button.winfo_manager()))
        shown["page"] = "chat" if chat.winfo_manager() else "login"
        shown["reason"] = window.login.reason.cget("text") if window.login.winfo_manager() else ""
        shown["end in sight"] = str(bool(chat.current().text.bbox("end-2c")))
        shown["size"] = f"{window.winfo_width()}x{window.winfo_height()}"
        shown["typed"] = chat.line.get()
        focused = window.focus_lastfor()
        shown["focus"] = next((name for name, entry in (*window.login.entries.items(), ("line", chat.entry))
                               if entry is focused), "")
        for tab in (chat.room, *chat.private.values()):
            for number, line in enumerate(tab.text.get("1.0", "end-1c").split("\n")):
                shown[f"{tab.title} {number}"] = line
        for part, text in shown.items():
            if self.shown.get(part) != text:
                print(f"{part}: {text}", flush=True)
        self.shown = shown


Driver()
