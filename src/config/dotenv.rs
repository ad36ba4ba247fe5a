//! The file `.env` of the working folder, or of the nearest one above it. Values are taken as they stand: `$` and `\`
//! mean nothing, because passwords contain them.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::path::PathBuf;
use std::str::Chars;

/// Lines may hold secrets, so no message repeats one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidDotenv {
    #[error("{path}: line {line} cannot be read: {rule}", path = path.display())]
    Line { path: PathBuf, line: usize, rule: &'static str },
    #[error("{path}: {error}", path = path.display())]
    File { path: PathBuf, error: String },
}

const NAMED: &str = "write NAME=value, with a name of letters, digits and underscores";
const CLOSED: &str = "a quote is not closed";
const NOTHING_AFTER: &str =
    "only a comment may follow the closing quote; a quote within a value in double quotes is \\\"";
const NO_TEXT: &str = "save the file as UTF-8";

#[derive(Debug, Clone, Default)]
pub(super) struct Dotenv {
    pub(super) path: PathBuf,
    pub(super) values: BTreeMap<String, String>,
}

/// A missing file is normal; an invalid one is an error.
pub(super) fn read_dotenv() -> Result<Dotenv, InvalidDotenv> {
    let here = std::env::current_dir().unwrap_or_default();
    let Some(path) = here.ancestors().map(|folder| folder.join(".env")).find(|path| path.is_file()) else {
        return Ok(Dotenv::default());
    };
    let bytes = std::fs::read(&path);
    let bytes = bytes.map_err(|error| InvalidDotenv::File { path: path.clone(), error: error.to_string() })?;
    match parse(&bytes) {
        Ok(values) => Ok(Dotenv { path, values }),
        Err((line, rule)) => Err(InvalidDotenv::Line { path, line, rule }),
    }
}

type Invalid = (usize, &'static str);

/// The last of several lines with the same name counts, as in a shell.
fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, Invalid> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        (1 + good.iter().filter(|byte| **byte == b'\n').count(), NO_TEXT)
    })?;
    // Editors on Windows write a byte order mark and end lines with CR LF.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut reader = Reader { rest: text.chars().peekable(), line: 1 };
    let mut values = BTreeMap::new();
    while reader.rest.peek().is_some() {
        let began = reader.line;
        if let Some((name, value)) = reader.entry().map_err(|rule| (began, rule))? {
            values.insert(name, value);
        }
    }
    Ok(values)
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    /// A line, or several if a quoted value has line breaks; `None` for a blank one or a comment.
    fn entry(&mut self) -> Result<Option<(String, String)>, &'static str> {
        self.skip_blanks();
        let mut name = String::new();
        while let Some(c) = self.rest.next_if(|c| !matches!(c, '=' | '\n' | '#')) {
            name.push(c);
        }
        let name = name.trim();
        let name = name.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(name).trim();
        if name.is_empty() && self.rest.peek() != Some(&'=') {
            self.skip_line();
            return Ok(None);
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_word) || self.rest.next() != Some('=') {
            return Err(NAMED);
        }
        self.skip_blanks();
        let value = match self.rest.next_if(|c| matches!(c, '\'' | '"')) {
            Some(quote) => self.quoted(quote)?,
            None => self.bare(),
        };
        Ok(Some((name.to_owned(), value)))
    }

    /// To the end of the line, or to a `#` after a blank.
    fn bare(&mut self) -> String {
        let mut value = String::new();
        while let Some(c) = self.rest.next_if(|c| *c != '\n') {
            if c == '#' && (value.is_empty() || value.ends_with([' ', '\t'])) {
                break;
            }
            value.push(c);
        }
        self.skip_line();
        value.trim_end().to_owned()
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        let mut value = String::new();
        loop {
            match self.next().ok_or(CLOSED)? {
                c if c == quote => break,
                '\\' if quote == '"' => match self.next().ok_or(CLOSED)? {
                    'n' => value.push('\n'),
                    c @ ('"' | '\\' | '$') => value.push(c),
                    c => value.extend(['\\', c]),
                },
                c => value.push(c),
            }
        }
        self.skip_blanks();
        match self.rest.peek() {
            None | Some('\n' | '#') => self.skip_line(),
            Some(_) => return Err(NOTHING_AFTER),
        }
        Ok(value)
    }

    fn next(&mut self) -> Option<char> {
        self.rest.next().inspect(|c| self.line += usize::from(*c == '\n'))
    }

    fn skip_blanks(&mut self) {
        while self.rest.next_if(|c| matches!(c, ' ' | '\t' | '\r')).is_some() {}
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|c| c != '\n') {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> String {
        parse(text.as_bytes()).unwrap().remove("A").unwrap_or_else(|| panic!("{text:?} has no A"))
    }

    #[test]
    fn a_value_is_taken_as_it_stands() {
        for (written, read) in [
            ("A=postgres://d:pa$word1@h/d", "postgres://d:pa$word1@h/d"),
            ("A=${HOME}\\n`id`", "${HOME}\\n`id`"),
            ("A=pa#ss", "pa#ss"),
            ("A=pass # a comment", "pass"),
            ("A= # a comment", ""),
            ("A=", ""),
            ("A=two words ", "two words"),
            ("  export A = it's", "it's"),
            ("A=x=y", "x=y"),
            ("A='pa$s \\n # \"x\"' # a comment", "pa$s \\n # \"x\""),
            ("A=\"pa$s \\\\ \\\" \\n \\d #\"", "pa$s \\ \" \n \\d #"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("\u{feff}A=1\r\nB=2\r\n", "1"),
            ("B=1\r\nA='2'\r\n", "2"),
            ("A=1\nA=2", "2"),
            ("#A=0\n\n \t\nA=1", "1"),
            ("export=1\nA=1", "1"),
        ] {
            assert_eq!(value(written), read, "{written:?}");
        }
    }

    #[test]
    fn the_line_that_cannot_be_read_is_counted_from_one_and_not_repeated() {
        for (written, line, rule) in [
            ("hunter2\n", 1, NAMED),
            ("# a comment\n\nA='two\nlines'\nB hunter=2\nC=1\n", 5, NAMED),
            ("A=1\nB=\"never ends\nC=1\n", 2, CLOSED),
            ("A=1\nB='x'y\n", 2, NOTHING_AFTER),
            ("=x", 1, NAMED),
            ("A", 1, NAMED),
        ] {
            assert_eq!(parse(written.as_bytes()), Err((line, rule)), "{written:?}");
        }
        assert_eq!(parse(b"A=1\n\xff\xfeB\0=\0"), Err((2, NO_TEXT)));
    }

    proptest! {
        #[test]
        fn any_value_can_be_written_in_double_quotes(text in "\\PC*") {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(value(&format!("A=\"{escaped}\" # c\nB=1")), text);
        }

        #[test]
        fn nothing_that_is_read_is_a_crash(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
