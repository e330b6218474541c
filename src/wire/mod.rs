//! The protocol as bytes: what arrives is cut into frames, frames become requests, and what the server says
//! becomes lines. Nothing here does I/O, takes a lock or knows a socket, so all of it can be tested and read
//! on its own.

pub mod command;
pub mod frame;
pub mod frame_error;
pub mod message;
pub mod name;
pub mod scanner;

pub use command::{Field, Request};
pub use frame::{FrameReader, Framing};
pub use frame_error::FrameError;
pub use message::{ClientMessage, ServerMessage};
pub use name::{NameKey, check_name, check_password};
