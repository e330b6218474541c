//! The protocol as bytes. What arrives is cut into frames, and a frame is parsed as a command. What the server
//! says is encoded as lines, and wrapped for the client's framing.
//!
//! Nothing here does I/O, takes a lock or knows a socket, so each part can be read and tested on its own.

pub mod client_message;
pub mod command;
pub mod framing;
pub mod lines;
pub mod name;
pub mod scanner;
pub mod server_message;
pub mod shown;
pub mod syntax_error;

pub use client_message::ClientMessage;
pub use command::{Command, Field};
pub use framing::{FrameError, FrameReader, Framing};
pub use lines::Lines;
pub use name::{NameError, NameKey, check_name, check_password};
pub use server_message::ServerMessage;
