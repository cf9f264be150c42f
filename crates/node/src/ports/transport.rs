//! Calls to participants.
use std::rc::Rc;
use unanim_coordinator::{Call, CallId};
use unanim_engine::Reply;

/// Where replies go.
#[derive(Clone)]
pub struct Replies(Rc<dyn Fn(CallId, Reply)>);

impl Replies {
    /// Hands every reply to `deliver`.
    pub fn new(deliver: impl Fn(CallId, Reply) + 'static) -> Replies {
        Replies(Rc::new(deliver))
    }

    /// Delivers one.
    pub fn deliver(&self, id: CallId, reply: Reply) {
        (self.0)(id, reply);
    }
}

/// Reaches participants.
pub trait Transport {
    /// Makes a call. Exactly one reply is delivered for it, within the call's own timeout; never from within this
    /// method, and however the call ends: unknown is a reply too.
    fn call(&self, call: Call, replies: &Replies);
}
