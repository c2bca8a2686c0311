//! The owner of an epoll event, packed into the 64 bits of user data that epoll reports with the event.

use super::connections::Key;

/// The owner of an epoll event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// The input of the engine's owner.
    Input,
    /// The output of the engine's owner.
    Output,
    /// The eventfd with which another thread wakes this one.
    Wake,
    /// The listening socket.
    Listener,
    /// The client socket of a round trip.
    Client,
    /// An accepted connection.
    Connection(Key),
}

/// The owners other than connections. Their tokens have generation 0, which no connection has, and their
/// position in this table as the index.
const OTHERS: [Token; 5] = [
    Token::Input,
    Token::Output,
    Token::Wake,
    Token::Listener,
    Token::Client,
];

impl Token {
    /// Packs the token into 64 bits: the generation in the upper half, the index in the lower half.
    pub fn pack(self) -> u64 {
        match self {
            Token::Connection(key) => u64::from(key.generation.get()) << 32 | u64::from(key.index),
            other => OTHERS
                .iter()
                .position(|&token| token == other)
                .expect("listed") as u64,
        }
    }

    /// Unpacks the token in `data`.
    pub fn unpack(data: u64) -> Token {
        let halves = [data >> 32, data & u64::from(u32::MAX)];
        let [generation, index] = halves.map(|half| u32::try_from(half).expect("32 bits"));
        match generation.try_into() {
            Ok(generation) => Token::Connection(Key { index, generation }),
            Err(_) => OTHERS[index as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn unpack_reverses_pack() {
        let keys = [0, 1, u32::MAX].map(|index| {
            Token::Connection(Key {
                index,
                generation: NonZeroU32::MAX,
            })
        });
        for token in OTHERS.into_iter().chain(keys) {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
