//! Structures in shared memory: one 64-bit word per field. Each word is copied by an atomic access, so no reference to the
//! structure itself ever points into memory that the other side writes.

use std::sync::atomic::Ordering;

use doorbell::region::{RegionError, SharedRegion};

/// A value that occupies one word.
pub(crate) trait Word: Sized {
    /// The word in memory.
    fn to_word(self) -> u64;
    /// The value; `None` if the word is not valid.
    fn from_word(word: u64) -> Option<Self>;
}

impl Word for u64 {
    #[inline]
    fn to_word(self) -> u64 {
        self
    }
    fn from_word(word: u64) -> Option<Self> {
        Some(word)
    }
}

impl Word for bool {
    fn to_word(self) -> u64 {
        u64::from(self)
    }
    fn from_word(word: u64) -> Option<Self> {
        Some(word != 0)
    }
}

/// A counter. `None` if the writer cannot read it.
impl Word for Option<u64> {
    fn to_word(self) -> u64 {
        self.unwrap_or(u64::MAX)
    }
    fn from_word(word: u64) -> Option<Self> {
        Some((word != u64::MAX).then_some(word))
    }
}

/// An enumeration value: its position in `all` plus one, because an unwritten word is zero.
pub(crate) fn enumerated<T: Copy>(all: &[T], word: u64) -> Option<T> {
    all.get(usize::try_from(word).ok()?.checked_sub(1)?).copied()
}

/// Stores words relaxed. A release store of the word that announces them must follow.
pub(crate) fn store(region: &SharedRegion, offset: usize, words: &[u64]) -> Result<(), RegionError> {
    for (word, value) in region.words(offset, words.len())?.iter().zip(words) {
        word.store(*value, Ordering::Relaxed);
    }
    Ok(())
}

/// Loads words relaxed, after an acquire load of the word that announces them.
pub(crate) fn load<const N: usize>(region: &SharedRegion, offset: usize) -> Result<[u64; N], RegionError> {
    let mut words = [0; N];
    for (value, word) in words.iter_mut().zip(region.words(offset, N)?) {
        *value = word.load(Ordering::Relaxed);
    }
    Ok(words)
}

/// Defines a structure whose definition is part of the layout's fingerprint: names, types and order of its fields.
macro_rules! shared_struct {
    ($(#[$attr:meta])* pub struct $name:ident { $($(#[$field_attr:meta])* pub $field:ident: $type:ty,)+ }) => {
        $(#[$attr])*
        #[repr(C)]
        pub struct $name {
            $($(#[$field_attr])* pub $field: $type,)+
        }

        impl $name {
            /// Name, and the name and type of each field.
            pub(crate) const DEFINITION: &str =
                concat!(stringify!($name), $(" ", stringify!($field), ":", stringify!($type)),+);
        }
    };
}

/// A [`shared_struct`] with one [`Word`] per field.
macro_rules! word_struct {
    ($(#[$attr:meta])* pub struct $name:ident { $($(#[$field_attr:meta])* pub $field:ident: $type:ty,)+ }) => {
        $crate::words::shared_struct! {
            $(#[$attr])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub struct $name {
                $($(#[$field_attr])* pub $field: $type,)+
            }
        }

        impl $name {
            /// Number of words.
            pub(crate) const WORDS: usize = [$(stringify!($field)),+].len();

            /// The words, in the order of the fields.
            #[inline]
            pub(crate) fn to_words(self) -> [u64; Self::WORDS] {
                [$($crate::words::Word::to_word(self.$field)),+]
            }

            /// The fields; `None` if a word is not valid for its field.
            pub(crate) fn from_words(words: [u64; Self::WORDS]) -> Option<Self> {
                let [$($field),+] = words;
                Some(Self { $($field: $crate::words::Word::from_word($field)?),+ })
            }
        }
    };
}

pub(crate) use {shared_struct, word_struct};
