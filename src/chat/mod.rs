//! Who is here, and who hears what.

pub mod event;
pub mod fan_out;
pub mod flow_control;
pub mod heartbeat;
pub mod moderation;
pub mod room;
mod room_moderation;
pub mod roster;
pub mod session;
pub mod transcript;

pub use event::Event;
pub use fan_out::EventQueue;
pub use room::Room;
pub use session::{Session, SessionMap};
pub use transcript::{Transcript, TranscriptEnd};
