//! What is wrong with bytes that are no frames, and what the author of the client may have done (protocol, sections 1 and 8).
//!
//! A guess stands behind what is wrong.

use super::texts;

texts! {
    // What is wrong.

    unknown_start(guess: &str) {
        en: "a connection starts with a JSON object or with a 4-byte big-endian length; {guess}",
        zh: "连接要以一个 JSON 对象开头，或者以 4 字节大端序的长度开头；{guess}",
    }
    not_an_object(place: &str, found: &str, guess: &str) {
        en: "{place} came {found}, but each message is a JSON object and begins with '{{'; {guess}",
        zh: "{place}来了{found}，但每条消息都是一个 JSON 对象，以 '{{' 开头；{guess}",
    }
    after_message {
        en: "after a message",
        zh: "在一条消息之后",
    }
    at_start_of_message {
        en: "where a message begins",
        zh: "在一条消息应该开始的地方",
    }
    too_large(limit: usize) {
        en: "the message is longer than {limit} bytes",
        zh: "消息超过 {limit} 字节",
    }
    bad_prefix(guess: &str) {
        en: "bad length prefix: {guess}",
        zh: "长度前缀不对：{guess}",
    }
    utf_16 {
        en: "this is text in UTF-16 or UTF-32; it must be encoded as UTF-8 (in Qt toUtf8, in .NET Encoding.UTF8, in Java getBytes with UTF_8)",
        zh: "这是 UTF-16 或 UTF-32 的文字；必须用 UTF-8 编码（Qt 用 toUtf8，.NET 用 Encoding.UTF8，Java 用 getBytes 和 UTF_8）",
    }
    /// `place` counts bytes from 1.
    not_utf_8(place: usize, guess: &str) {
        en: "the message is not UTF-8 at its byte {place}; {guess}",
        zh: "消息从第 {place} 个字节起不是 UTF-8；{guess}",
    }
    too_deep(limit: u32) {
        en: "the message is nested deeper than {limit} levels",
        zh: "消息的嵌套超过 {limit} 层",
    }
    line_ends_in_string {
        en: "a line ends inside a string; a newline in a text is written as \\n; or is a closing quote missing?",
        zh: "字符串里有换行；文字里的换行要写成 \\n；还是少了右引号？",
    }
    control_character_in_string(byte: u8) {
        en: "a control character in a string must be escaped, the byte 0x{byte:02x} as \\u{byte:04x}",
        zh: "字符串里的控制字符必须转义，字节 0x{byte:02x} 要写成 \\u{byte:04x}",
    }
    bad_escape {
        en: "a \\u escape in a string is malformed or is half of a pair",
        zh: "字符串里有一个 \\u 转义写错了，或者只是代理对的一半",
    }
    not_one_object(guess: &str) {
        en: "a length-prefixed frame holds exactly one JSON object; {guess}",
        zh: "带长度前缀的一帧里必须恰好有一个 JSON 对象；{guess}",
    }

    // Guesses at the encoding.

    java_utf_8 {
        en: "is it the modified UTF-8 of writeUTF in Java? getBytes gives plain UTF-8",
        zh: "是 Java 的 writeUTF 所用的变形 UTF-8 吗？getBytes 给出的才是普通的 UTF-8",
    }
    gbk_or_big5 {
        en: "Chinese text may be in GBK or Big5; it must be encoded as UTF-8",
        zh: "中文可能用了 GBK 或 Big5；必须用 UTF-8 编码",
    }
    starts_in_utf_16 {
        en: "is this text in UTF-16? It must be UTF-8",
        zh: "这是 UTF-16 的文字吗？必须是 UTF-8",
    }
    stray_utf_16 {
        en: "is this UTF-16? Text must be UTF-8",
        zh: "这是 UTF-16 吗？文字必须是 UTF-8",
    }
    length_is_utf_16 {
        en: "is this text in UTF-16? It must be UTF-8, and may stand without a length",
        zh: "这是 UTF-16 的文字吗？必须是 UTF-8，而且前面可以没有长度",
    }

    // Guesses at how a length was sent.

    length_of_1_byte {
        en: "is the length sent as 1 byte, as BinaryWriter does in .NET? It must be 4, big-endian",
        zh: "长度是不是只发了 1 个字节，就像 .NET 的 BinaryWriter 那样？必须是 4 个字节，大端序",
    }
    length_of_7_bits_a_byte {
        en: "is the length sent in 7 bits a byte, as BinaryWriter does in .NET? It must be 4 bytes, big-endian",
        zh: "长度的每个字节是不是只有 7 位，就像 .NET 的 BinaryWriter 那样？必须是 4 个字节，大端序",
    }
    length_of_1_byte_or_7_bits {
        en: "is a length of 1 byte (or of 7 bits a byte) sent before each message? A length has 4 bytes, big-endian; one of 9, 10, 13 or 32 alone passes for white space",
        zh: "每条消息之前是不是发了 1 个字节（或每字节 7 位）的长度？长度有 4 个字节，大端序；单独一个 9、10、13 或 32 会被当作空白",
    }
    length_of_2_bytes {
        en: "is the length sent as 2 bytes, as writeUTF does in Java? It must be 4",
        zh: "长度是不是只发了 2 个字节，就像 Java 的 writeUTF 那样？必须是 4 个字节",
    }
    prefix_of_2_bytes {
        en: "is it sent as 2 bytes, as writeUTF does in Java? It must be 4",
        zh: "它是不是只发了 2 个字节，就像 Java 的 writeUTF 那样？必须是 4 个字节",
    }
    length_of_2_bytes_little_endian {
        en: "is the length sent as 2 bytes, little-endian?",
        zh: "长度是不是发成了 2 个字节，小端序？",
    }
    length_of_8_bytes_little_endian {
        en: "is the length sent as 8 bytes, little-endian?",
        zh: "长度是不是发成了 8 个字节，小端序？",
    }
    length_little_endian {
        en: "is the length little-endian?",
        zh: "长度是不是小端序？",
    }
    length_in_digits {
        en: "is the length written in digits? It must be 4 bytes, big-endian",
        zh: "长度是不是写成了数字？必须是 4 个字节，大端序",
    }
    stray_length_in_digits {
        en: "is a length written in digits? It must be 4 bytes, big-endian",
        zh: "这是不是写成数字的长度？必须是 4 个字节，大端序",
    }
    zero_length {
        en: "the length is 0; is it sent as 8 bytes?",
        zh: "长度是 0；它是不是发成了 8 个字节？",
    }
    two_lengths_or_8_bytes {
        en: "are there two lengths, or is the length sent as 8 bytes?",
        zh: "是不是有两个长度，或者长度发成了 8 个字节？",
    }
    two_lengths {
        en: "are there two lengths?",
        zh: "是不是有两个长度？",
    }
    stray_length {
        en: "is it a length? The first byte of a connection decides whether lengths come, and this one has none",
        zh: "这是长度吗？有没有长度由连接的第一个字节决定，而这个连接没有",
    }

    // Guesses at what a length counts.

    length_out_of_bounds_little_endian {
        en: "the length is out of bounds; is it little-endian?",
        zh: "长度超出范围；它是不是小端序？",
    }
    length_out_of_bounds {
        en: "the length is out of bounds; was the one before too small? It counts bytes, not characters",
        zh: "长度超出范围；是不是前一个长度太小？长度是字节数，不是字符数",
    }
    no_length {
        en: "a message came without a length, or the length of the one before was too small: it counts bytes, not characters",
        zh: "一条消息没有带长度，或者前一条的长度太小：长度是字节数，不是字符数",
    }
    newline_not_counted {
        en: "is there a newline behind a message that its length does not count?",
        zh: "是不是有一条消息的后面有换行符，而它的长度没有计入？",
    }
    null_string_of_qt {
        en: "this is what a QDataStream writes for a null string",
        zh: "QDataStream 写出空字符串（null）时就是这样",
    }
    length_wrong {
        en: "is the length before it right?",
        zh: "它前面的长度对吗？",
    }
    length_too_small_or_brace_missing {
        en: "the length says that the frame ends before its object does; is the length too small, or a brace missing?",
        zh: "按照长度，这一帧在它的对象结束之前就结束了；是长度太小，还是少了一个花括号？",
    }
    length_counts_characters {
        en: "the length says that the frame ends before its object does; a length counts bytes, not characters",
        zh: "按照长度，这一帧在它的对象结束之前就结束了；长度是字节数，不是字符数",
    }
    zero_byte_counted {
        en: "does the length count the zero byte that ends a string in C?",
        zh: "长度是不是计入了 C 语言字符串末尾的零字节？",
    }
    length_for_each {
        en: "each has a length of its own",
        zh: "每个对象都要有自己的长度",
    }
    length_too_large {
        en: "is the length of the frame too large?",
        zh: "这一帧的长度是不是太大？",
    }
    length_too_large_or_brace_twice {
        en: "is the length too large, or a brace written twice?",
        zh: "是长度太大，还是花括号写了两次？",
    }
    only_white_space {
        en: "there is only white space",
        zh: "这里只有空白",
    }

    // Guesses at what stands where an object should begin.

    array {
        en: "a JSON array is not a message",
        zh: "JSON 数组不是消息",
    }
    list {
        en: "a list is no message; send its objects one by one",
        zh: "列表不是消息；请把其中的对象一个一个发送",
    }
    encoded_twice {
        en: "was the object encoded twice, or printed in quotes?",
        zh: "对象是不是编码了两次，或者打印时带上了引号？",
    }
    sent_as_string {
        en: "is an object sent as a string?",
        zh: "是不是把对象当作字符串发送了？",
    }
    sent_as_string_or_quote {
        en: "is an object sent as a string, or a quote inside a text not written as \\\"?",
        zh: "是不是把对象当作字符串发送了，或者文字里的引号没有写成 \\\"？",
    }
    text_no_object {
        en: "this is text, but not a JSON object",
        zh: "这是文字，但不是 JSON 对象",
    }
    neither {
        en: "these bytes are neither",
        zh: "这些字节两者都不是",
    }
    late_byte_order_mark {
        en: "a byte-order mark may stand only at the very start of a connection",
        zh: "字节顺序标记只能出现在连接的最开头",
    }
    byte_order_mark_behind_length {
        en: "no byte-order mark may stand behind a length",
        zh: "长度的后面不可以有字节顺序标记",
    }
    whole_buffer {
        en: "is a whole buffer sent, where only its used part is the message?",
        zh: "是不是发送了整个缓冲区，而消息只是其中用到的那一部分？",
    }
    zero_byte_sent {
        en: "is the zero byte sent that ends a string in C?",
        zh: "是不是发送了 C 语言字符串末尾的零字节？",
    }
    zero_byte_before_object {
        en: "is there a single zero byte before the object? A length has 4 bytes, and need not come at all",
        zh: "对象之前是不是有单独一个零字节？长度有 4 个字节，也可以完全没有",
    }
    only_white_space_between {
        en: "only white space may stand between messages",
        zh: "消息之间只能有空白",
    }
    backslash_for_newline {
        en: "is a backslash and a letter sent in place of a newline?",
        zh: "是不是发送了反斜杠加一个字母，而不是换行符？",
    }
    rest_of_text {
        en: "is this the rest of a text whose object was closed too early?",
        zh: "这是不是一段文字的其余部分，而它的对象结束得太早？",
    }

    // Why a frame does not end.

    part_of_mark(count: usize) {
        en: "only {count} of the 3 bytes of a byte-order mark have come",
        zh: "字节顺序标记有 3 个字节，只来了 {count} 个",
    }
    part_of_length(count: usize) {
        en: "only {count} of the 4 bytes of its length have come",
        zh: "它的长度有 4 个字节，只来了 {count} 个",
    }
    part_of_body(length: u32, count: usize) {
        en: "its length says {length} bytes, and {count} have come",
        zh: "它的长度说有 {length} 个字节，来了 {count} 个",
    }
    part_of_body_little_endian(part: &str) {
        en: "{part}; is the length little-endian?",
        zh: "{part}；长度是不是小端序？",
    }
    object_ends(part: &str, place: usize) {
        en: "{part}; the object in them ends after {place}",
        zh: "{part}；其中的对象到第 {place} 个就结束了",
    }

    // WebSocket.

    websocket(why: &str) {
        en: "this is no frame of WebSocket as a client may send it: {why}",
        zh: "客户端不能发送这样的 WebSocket 帧：{why}",
    }
    binary {
        en: "a binary message came; a message is text, one JSON object",
        zh: "收到的是二进制消息；消息应当是文本，即一个 JSON 对象",
    }
    object_does_not_end {
        en: "the object does not end",
        zh: "对象没有结束",
    }
    websocket_incomplete {
        en: "a frame of WebSocket, or the last fragment of a message, has not come in full",
        zh: "一个 WebSocket 帧，或一条消息的最后一个分片，还没有到齐",
    }
    websocket_extension {
        en: "a reserved bit is set, and no extension was agreed on",
        zh: "设置了保留位，而双方并没有商定任何扩展",
    }
    websocket_no_start {
        en: "a continuation came, and no message had begun",
        zh: "收到了后续分片，但没有消息已经开始",
    }
    websocket_no_continuation {
        en: "a message began before the last one had ended",
        zh: "上一条消息还没有结束，又开始了一条",
    }
    websocket_long_control {
        en: "a control frame is whole, and has 125 bytes at most",
        zh: "控制帧不能分片，最多 125 字节",
    }
    websocket_opcode {
        en: "there is no such kind of frame",
        zh: "没有这种帧",
    }
    websocket_no_mask {
        en: "a client masks its frames",
        zh: "客户端发送的帧必须加掩码",
    }
    websocket_close_code {
        en: "there is no such status code for an end",
        zh: "没有这样的关闭状态码",
    }
}
