//! JSON output in the format of the replies: one line, with a space after each colon and comma.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Serializes `value` and appends it to `lines`, followed by a newline.
pub fn write_line(lines: &mut Vec<u8>, value: &impl Serialize) {
    value
        .serialize(&mut Serializer::with_formatter(
            &mut *lines,
            SpacedFormatter,
        ))
        .expect("writing to a Vec cannot fail, and every key is a string");
    lines.push(b'\n');
}

/// A formatter that puts a space after each colon and comma of objects and of raw JSON. The values written here
/// have no other arrays.
struct SpacedFormatter;

impl Formatter for SpacedFormatter {
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

    /// Writes the raw JSON text `fragment`. Replaces the white space between its tokens by one space after each
    /// colon and comma. `fragment` may contain a carriage return there, which some readers would treat as the
    /// end of the line.
    fn write_raw_fragment<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let bytes = fragment.as_bytes();
        // `bytes[copied..i]` is still to be written, unchanged.
        let (mut copied, mut i, mut in_string) = (0, 0, false);
        while i < bytes.len() {
            match bytes[i] {
                b'"' => in_string = !in_string,
                // Skip the escaped character: it may be a quotation mark.
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
    fn raw_json_is_spaced_only_outside_strings() {
        let mut out = Vec::new();
        SpacedFormatter
            .write_raw_fragment(
                &mut out,
                "{\"a:,b\\\" \\\\\":[1 ,\r\n 2,\t{} ],\"c\" : \" \\\",\"}",
            )
            .expect("writing to a Vec cannot fail");
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            r#"{"a:,b\" \\": [1, 2, {}], "c": " \","}"#
        );
    }
}
