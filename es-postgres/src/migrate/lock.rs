//! The lock of those who migrate, for who makes tables within a transaction.

/// The number of the advisory lock that sqlx takes before it migrates a database of this name.
pub(crate) fn lock_key(database: &str) -> i64 {
    0x3d32_ad9e * i64::from(crc32(database))
}

/// The cyclic redundancy check of 32 bits, as in ISO 3309.
fn crc32(text: &str) -> u32 {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_of_the_standard_comes_out() {
        assert_eq!(crc32("123456789"), 0xcbf4_3926);
        assert_eq!(crc32(""), 0);
    }
}
