//! Hashes of passwords.

use std::fmt;
use std::str::FromStr;

use openssl::error::ErrorStack;
use openssl::{base64, memcmp, pkcs5, rand};

/// scrypt's cost for new hashes: N = 2^15, r = 8, p = 1 takes 32 MiB and some 80 ms (RFC 7914, section 2).
const COST: Cost = Cost {
    log_n: 15,
    r: 8,
    p: 1,
};

/// Length of the salt of new hashes, in bytes.
const SALT_LENGTH: usize = 16;

/// Length of new hashes, in bytes.
const HASH_LENGTH: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    log_n: u8,
    r: u32,
    p: u32,
}

/// A salted scrypt hash, written `$scrypt$ln=15,r=8,p=1$SALT$HASH` with base64 without padding.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PasswordHash {
    cost: Cost,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl PasswordHash {
    /// Hashes a new password with a random salt. Takes some 80 ms.
    pub(super) fn new(password: &str) -> Result<PasswordHash, ErrorStack> {
        let mut salt = vec![0; SALT_LENGTH];
        rand::rand_bytes(&mut salt)?;
        let hash = scrypt(password, &salt, COST, HASH_LENGTH)?;
        Ok(PasswordHash {
            cost: COST,
            salt,
            hash,
        })
    }

    /// Whether `password` is the one that was hashed. Takes as long as hashing it, right or wrong.
    pub(super) fn verify(&self, password: &str) -> Result<bool, ErrorStack> {
        let hash = scrypt(password, &self.salt, self.cost, self.hash.len())?;
        Ok(memcmp::eq(&hash, &self.hash))
    }
}

fn scrypt(password: &str, salt: &[u8], cost: Cost, length: usize) -> Result<Vec<u8>, ErrorStack> {
    let (n, r, p) = (1 << cost.log_n, u64::from(cost.r), u64::from(cost.p));
    let mut hash = vec![0; length];
    pkcs5::scrypt(
        password.as_bytes(),
        salt,
        n,
        r,
        p,
        128 * r * (n + p + 2),
        &mut hash,
    )?;
    Ok(hash)
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { log_n, r, p } = self.cost;
        let [salt, hash] = [&self.salt, &self.hash].map(|bytes| base64::encode_block(bytes));
        let [salt, hash] = [&salt, &hash].map(|text| text.trim_end_matches('='));
        write!(f, "$scrypt$ln={log_n},r={r},p={p}${salt}${hash}")
    }
}

/// Hides the hash: hashes don't belong in logs.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl FromStr for PasswordHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<PasswordHash, &'static str> {
        const WRONG: &str = "the hash must look like $scrypt$ln=15,r=8,p=1$SALT$HASH";
        let parts: Vec<&str> = text.split('$').collect();
        let ["", "scrypt", cost, salt, hash] = parts[..] else {
            return Err(WRONG);
        };
        let mut values = ["ln=", "r=", "p="]
            .iter()
            .zip(cost.split(','))
            .map(|(key, part)| {
                part.strip_prefix(key)
                    .and_then(|value| value.parse::<u32>().ok())
                    .ok_or(WRONG)
            });
        let mut next = || values.next().unwrap_or(Err(WRONG));
        let (log_n, r, p) = (next()?, next()?, next()?);
        // Bounds on what a hand-edited file can make the server compute: 2 GiB at the most.
        if !(1..=20).contains(&log_n) || !(1..=16).contains(&r) || !(1..=16).contains(&p) {
            return Err("the hash has a cost out of bounds: ln is 1 to 20, r and p are 1 to 16");
        }
        let decode = |text: &str| {
            let padded = text.to_owned() + &"=".repeat((4 - text.len() % 4) % 4);
            base64::decode_block(&padded).map_err(|_| WRONG)
        };
        let (salt, hash) = (decode(salt)?, decode(hash)?);
        if !(16..=64).contains(&hash.len()) {
            return Err("the hash must have 16 to 64 bytes");
        }
        Ok(PasswordHash {
            cost: Cost {
                log_n: log_n as u8,
                r,
                p,
            },
            salt,
            hash,
        })
    }
}

/// Makes a password that is easy to read and to type: eight small letters and digits, without those that look alike. There
/// are 2^38 of them.
pub(crate) fn generate() -> Result<String, ErrorStack> {
    const LENGTH: usize = 8;
    const CHARACTERS: &[u8; 28] = b"abcdefghjkmnpqrstuvwxyz23456";
    // What is beyond would make the first ones more likely.
    const USABLE: u8 = (256 / CHARACTERS.len() * CHARACTERS.len()) as u8;
    let mut password = String::with_capacity(LENGTH);
    while password.len() < LENGTH {
        let mut byte = [0];
        rand::rand_bytes(&mut byte)?;
        if byte[0] < USABLE {
            password.push(char::from(
                CHARACTERS[usize::from(byte[0]) % CHARACTERS.len()],
            ));
        }
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_its_own_password_only() {
        let hash = PasswordHash::new("secret1").unwrap();
        assert!(hash.to_string().starts_with("$scrypt$ln=15,r=8,p=1$"));
        let reread: PasswordHash = hash.to_string().parse().unwrap();
        assert!(reread == hash);
        assert!(reread.verify("secret1").unwrap());
        assert!(!reread.verify("secret2").unwrap());
    }

    #[test]
    fn a_published_test_vector_verifies() {
        // RFC 7914, section 12: P="pleaseletmein", S="SodiumChloride", N=16384, r=8, p=1.
        let text = "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw";
        let hash: PasswordHash = text.parse().unwrap();
        assert!(hash.verify("pleaseletmein").unwrap());
    }

    #[test]
    fn damaged_hashes_are_refused() {
        for text in [
            "",
            "$scrypt$",
            "$scrypt$ln=15,r=8$YQ$YQ",
            "$scrypt$ln=99,r=8,p=1$YQ$YQ",
            "$bcrypt$ln=15,r=8,p=1$YQ$YQ",
        ] {
            assert!(text.parse::<PasswordHash>().is_err(), "{text}");
        }
    }
}
