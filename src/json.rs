//! JSON as the task shows it: on one line, with a space after each colon and comma.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Appends `value` to `lines`, with the newline that ends it.
pub fn write_line(lines: &mut Vec<u8>, value: &impl Serialize) {
    value
        .serialize(&mut Serializer::with_formatter(&mut *lines, Spaced))
        .expect("a Vec takes everything, and every key is a string");
    lines.push(b'\n');
}

/// Where the spaces go.
struct Spaced;

impl Formatter for Spaced {
    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(b": ")
    }

    /// JSON text that is passed on as it came, but for the white space between its tokens: that
    /// could hold a carriage return, which some readers take for the end of the line.
    fn write_raw_fragment<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let bytes = fragment.as_bytes();
        // What is between `copied` and `i` is still to be written, as it is.
        let (mut copied, mut i, mut in_string) = (0, 0, false);
        while i < bytes.len() {
            match bytes[i] {
                b'"' => in_string = !in_string,
                // Whatever is escaped, it does not end the string.
                b'\\' => i += 1,
                b':' | b',' if !in_string => {
                    w.write_all(&bytes[copied..=i])?;
                    w.write_all(b" ")?;
                    copied = i + 1;
                }
                b' ' | b'\t' | b'\r' | b'\n' if !in_string => {
                    w.write_all(&bytes[copied..i])?;
                    copied = i + 1;
                }
                _ => {}
            }
            i += 1;
        }
        w.write_all(&bytes[copied..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_json_is_spaced_outside_its_strings_only() {
        let mut out = Vec::new();
        Spaced
            .write_raw_fragment(
                &mut out,
                "{\"a:,b\\\" \\\\\":[1 ,\r\n 2,\t{} ],\"c\" : \" \\\",\"}",
            )
            .expect("a Vec takes everything");
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            r#"{"a:,b\" \\": [1, 2, {}], "c": " \","}"#
        );
    }
}
