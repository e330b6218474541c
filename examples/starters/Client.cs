// A terminal client for the classroom chat server, in C# 5 or newer, with the standard library alone.
//   Windows, which has a compiler in C:\Windows\Microsoft.NET\Framework64\v4.0.30319:
//              csc /r:System.Web.Extensions.dll Client.cs       Client [HOST] NAME [PASSWORD] [--port PORT]
//   Mono:      mcs -r:System.Web.Extensions.dll Client.cs       mono Client.exe [HOST] NAME ...
//   .NET SDK:  dotnet new console; this file replaces Program.cs        dotnet run -- [HOST] NAME ...
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;

static class Client {
    const int Silence = 45; // seconds, three heartbeats: a server that is silent for so long has vanished
    const string Help = "TEXT (for all), @NAME TEXT or /msg NAME TEXT, /who, /register NAME PASSWORD, /quit";
    const string Unsafe = @"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]";
    static readonly Encoding Utf8 = new UTF8Encoding(false); // without a byte-order mark
    static readonly SortedDictionary<string, string> Online = new SortedDictionary<string, string>(); // to be locked
    static readonly ManualResetEvent LoggedIn = new ManualResetEvent(false);
    static Stream stream;
    static volatile bool leaving;

    static void Main(string[] arguments) {
        Console.OutputEncoding = Utf8;
        var words = arguments.ToList();
        int option = words.IndexOf("--port"), port = 4004;
        bool isGood = option < 0 || option + 1 < words.Count && int.TryParse(words[option + 1], out port);
        if (option >= 0 && isGood) words.RemoveRange(option, 2);
        if (words.Count == 1) words.Insert(0, "127.0.0.1");
        if (words.Count == 2) words.Add(""); // no password: a guest
        if (!isGood || words.Count != 3 || words[1].StartsWith("-"))
            Stop(2, "usage: Client [HOST] NAME [PASSWORD] [--port PORT]; then type " + Help);
        try { stream = new TcpClient(words[0], port).GetStream(); }
        catch (Exception error) { Stop(1, "cannot connect to " + words[0] + ", port " + port + ": " + error.Message); }
        stream.ReadTimeout = Silence * 1000;
        Send("01", "Name", words[1], "Password", words[2]);
        var receiver = new Thread(Receive);
        receiver.Start();
        LoggedIn.WaitOne(); // then this thread waits for the keyboard, the other for the server
        bool isConsole = Environment.OSVersion.Platform == PlatformID.Win32NT && !Console.IsInputRedirected;
        if (isConsole) Console.InputEncoding = Encoding.Unicode; // a console of Windows can't give Chinese in UTF-8
        var keyboard = isConsole ? Console.In : new StreamReader(Console.OpenStandardInput(), Utf8);
        for (string line; (line = keyboard.ReadLine()) != null && line != "/quit"; ) Obey(line);
        leaving = true;
        Send("03");
        receiver.Join(6000); // until the server hangs up: something may be left to show
        Environment.Exit(0);
    }

    static void Obey(string line) {
        var words = Regex.Replace(line, "^@", "/msg ").Split(new[] { ' ' }, 3); // further blanks belong to the text
        string name = words.Length < 3 ? "" : words[1], text = words.Length < 3 ? "" : words[2];
        if (words[0] == "/msg" && text != "") Send("04", "FriendName", name, "Message", text);
        else if (words[0] == "/register" && text != "") Send("02", "Name", name, "Password", text);
        else if (words[0] == "/who") lock (Online) Say("* online: " + string.Join(", ", Online.Values));
        else if (words[0].StartsWith("/")) Say(Help);
        else if (line != "") Send("05", "Message", line); // shown when it comes back, as 32
    }

    static void Send(string command, params string[] keysAndValues) {
        var message = new Dictionary<string, string> { { "Command", command } };
        for (int i = 1; i < keysAndValues.Length; i += 2) message[keysAndValues[i - 1]] = keysAndValues[i];
        var bytes = Utf8.GetBytes(Json.Write(message) + "\n");
        try { stream.Write(bytes, 0, bytes.Length); } catch (IOException) { } // it is lost: Receive says so
    }

    static void Receive() {
        var heard = DateTime.UtcNow;
        try {
            var reader = new BufferedStream(stream, 65536);
            for (string frame; (frame = NextFrame(reader)) != null; heard = DateTime.UtcNow) Show(Json.Read(frame));
            Stop(leaving ? 0 : 1, leaving ? "* logged out" : "* connection lost: the server has closed it");
        } catch (Exception error) {
            bool isLate = (DateTime.UtcNow - heard).TotalSeconds >= Silence; // this is what ends the Read
            Stop(1, "* connection lost: " + (isLate ? "nothing came for " + Silence + " seconds" : error.Message));
        }
    }

    /// <summary>The next message: one Read may bring half of it, or three. It ends at its closing brace.</summary>
    static string NextFrame(Stream reader) {
        var frame = new MemoryStream(); // bytes, since half a character is no text
        bool inString = false, escaped = false;
        for (int b, depth = 0; (b = reader.ReadByte()) >= 0; ) {
            if (depth == 0 && b <= ' ') continue; // a newline after each message: chatd sends it, others may not
            if (depth == 0 && b != '{' || frame.Length > 16 << 20) throw new IOException("this is no chat server");
            frame.WriteByte((byte)b);
            if (b == '"' && !escaped) inString = !inString;
            escaped = inString && b == '\\' && !escaped;
            if (!inString) depth += b == '{' ? 1 : b == '}' ? -1 : 0;
            if (depth == 0) return Utf8.GetString(frame.ToArray());
        }
        return null; // the server has closed the connection
    }

    static void Show(Dictionary<string, object> message) {
        Func<string, string> value = key => message.ContainsKey(key) ? Convert.ToString(message[key]) : "?";
        string text = value("Message"), friend = value("FriendName");
        string came = value("LogOnUserName"), left = value("LogOutUserName");
        bool hasFlag = message.ContainsKey("Flag"), isGood = IsYes(value("Flag"));
        switch (value(message.ContainsKey("Command") ? "Command" : "Comment")) {
            case "10": Say("* the server says: " + text); break;
            case "11":
                if (!isGood) Stop(1, "* login refused: " + text);
                foreach (var pair in Json.Items(message["Friends"]).Select(Json.Items)) Enter(pair[0], pair[1]);
                Obey("/who");
                LoggedIn.Set();
                break;
            case "12": Say(isGood ? "* registered" : "* not registered: " + text); break;
            case "13": Say("[" + friend + " to you] " + text); break;
            case "14": // without a Flag it is a heartbeat
                if (hasFlag) Say(isGood ? "* sent to " + friend : "* NOT sent to " + friend + ": " + text);
                break;
            case "30": Enter(came, value("IsUserGuest")); Say("* " + came + " is here"); break;
            case "31": lock (Online) Online.Remove(left); Say("* " + left + " has left"); break;
            case "32": Say(value("Speaker") + ": " + text); break;
        }
    }

    static void Enter(object name, object mark) { // the mark says whether it is a guest
        lock (Online) Online[name + ""] = name + (IsYes(mark + "") ? " (guest)" : "");
    }
    static bool IsYes(string value) { return value == "1" || value == "True"; }
    static void Stop(int status, string reason) { Say(reason); Environment.Exit(status); }
    static void Say(string line) { // what would steer the terminal or reorder the line is escaped
        Console.WriteLine(Regex.Replace(line, Unsafe, c => string.Format("\\u{0:x4}", (int)c.Value[0])));
    }
}

static class Json {
#if NETCOREAPP
    public static string Write(object message) { return System.Text.Json.JsonSerializer.Serialize(message); }
    public static Dictionary<string, object> Read(string text) {
        return System.Text.Json.JsonSerializer.Deserialize<Dictionary<string, object>>(text);
    }
    public static object[] Items(object list) {
        return ((System.Text.Json.JsonElement)list).EnumerateArray().Cast<object>().ToArray();
    }
#else
    static readonly System.Web.Script.Serialization.JavaScriptSerializer Serializer =
        new System.Web.Script.Serialization.JavaScriptSerializer { MaxJsonLength = int.MaxValue };
    public static string Write(object message) { return Serializer.Serialize(message); }
    public static Dictionary<string, object> Read(string text) {
        return (Dictionary<string, object>)Serializer.DeserializeObject(text);
    }
    public static object[] Items(object list) { return (object[])list; }
#endif
}
