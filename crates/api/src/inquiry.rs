//! The key of `Unanim-Inquiry`: it stands in for a token when a participant in doubt asks for an outcome.
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// Bytes of the HMAC that a key shows, as twice as many hex digits.
const KEY_BYTES: usize = 16;

/// Makes and checks keys with one store's secret; keyed once, because every call to a participant carries one.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// With the secret of the store.
    pub fn new(secret: &[u8; 32]) -> Signer {
        Signer(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }

    /// The key for one branch: the first 16 bytes of HMAC-SHA256 over `gid 0x00 branch` (neither holds a 0x00), in
    /// lower-case hex.
    pub fn sign(&self, gid: &str, branch: &str) -> String {
        let mut key = String::with_capacity(2 * KEY_BYTES);
        self.sign_into(gid, branch, |digits| key.push_str(digits));
        key
    }

    /// As [`Signer::sign`], without a string of its own.
    pub fn sign_into(&self, gid: &str, branch: &str, write: impl FnOnce(&str)) {
        let whole = self.mac(gid, branch).finalize().into_bytes();
        let mut digits = [0; 2 * KEY_BYTES];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(&whole[..KEY_BYTES]) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 0xf)];
        }
        write(std::str::from_utf8(&digits).expect("hex digits are ASCII"));
    }

    /// Whether this is the branch's key; takes as long for a wrong one as for the right one.
    pub fn verify(&self, gid: &str, branch: &str, key: &str) -> bool {
        parsed(key).is_some_and(|bytes| self.mac(gid, branch).verify_truncated_left(&bytes).is_ok())
    }

    fn mac(&self, gid: &str, branch: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(gid.as_bytes());
        mac.update(&[0]);
        mac.update(branch.as_bytes());
        mac
    }
}

/// Shows nothing of the secret.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// [`Signer::sign`], once.
pub fn sign(secret: &[u8; 32], gid: &str, branch: &str) -> String {
    Signer::new(secret).sign(gid, branch)
}

/// [`Signer::verify`], once.
pub fn verify(secret: &[u8; 32], gid: &str, branch: &str, key: &str) -> bool {
    Signer::new(secret).verify(gid, branch, key)
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hex only: a key has one spelling.
fn parsed(key: &str) -> Option<[u8; KEY_BYTES]> {
    let digits: &[u8; 2 * KEY_BYTES] = key.as_bytes().try_into().ok()?;
    let mut bytes = [0; KEY_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (value(pair[0])? << 4) | value(pair[1])?;
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    #[test]
    fn a_key_is_the_first_half_of_the_hmac() {
        // printf 'order-17\0stock' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07
        assert_eq!(sign(&SECRET, "order-17", "stock"), "20bd148d334bd8bec7280ff3e3ab2e0d");
    }

    #[test]
    fn only_the_key_of_this_branch_under_this_secret_passes() {
        let key = sign(&SECRET, "order-17", "stock");
        assert!(verify(&SECRET, "order-17", "stock", &key));
        assert!(!verify(&[8; 32], "order-17", "stock", &key));
        assert!(!verify(&SECRET, "order-18", "stock", &key));
        assert!(!verify(&SECRET, "order-17", "pay", &key));
        assert!(!verify(&SECRET, "order-17s", "tock", &key));
    }

    #[test]
    fn oddly_written_keys_are_wrong() {
        let key = sign(&SECRET, "g", "b");
        for odd in [
            "",
            "0",
            &key[..30],
            &format!("{key}00"),
            &key.to_uppercase(),
            &format!("{}é", &key[..30]),
            &"g".repeat(32),
        ] {
            assert!(!verify(&SECRET, "g", "b", odd), "{odd}");
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        assert_eq!(format!("{:?}", Signer::new(&SECRET)), "Signer");
    }
}
