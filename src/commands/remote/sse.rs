//! Server-Sent Events, read from bytes as they arrive.

/// One event; `data` is JSON, as the API sends it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) data: String,
}

/// What has arrived of the next event. A line or an event above this is no event of ours.
const MAX_BYTES: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
#[error("the stream has an event of more than 1 MiB")]
pub(super) struct TooLong;

#[derive(Debug, Default)]
pub(super) struct Reader {
    rest: Vec<u8>,
    next: Event,
}

impl Reader {
    /// The events that are complete now.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            events.extend(self.line(line.trim_end_matches(['\n', '\r'])));
        }
        if self.rest.len() + self.next.data.len() > MAX_BYTES { Err(TooLong) } else { Ok(events) }
    }

    /// An empty line ends an event; a line without a name before its colon is a comment, as heartbeats are.
    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.next);
            return (!event.data.is_empty()).then_some(event);
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.next.name = value.to_owned(),
            "id" => self.next.id = Some(value.to_owned()),
            "data" => {
                if !self.next.data.is_empty() {
                    self.next.data.push('\n');
                }
                self.next.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_whatever_pieces_they_come_in() {
        let text =
            b": heartbeat\n\nevent: attempt\r\nid: c1\r\ndata: {\"a\":\r\ndata:  1}\r\n\r\ndata: {}\n\nevent: x\n\n";
        let expected = [
            Event { name: "attempt".to_owned(), id: Some("c1".to_owned()), data: "{\"a\":\n 1}".to_owned() },
            Event { data: "{}".to_owned(), ..Event::default() },
        ];
        for size in 1..text.len() {
            let mut reader = Reader::default();
            let events: Vec<Event> = text.chunks(size).flat_map(|piece| reader.read(piece).unwrap()).collect();
            assert_eq!(events, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut reader = Reader::default();
        assert!((0..20).any(|_| reader.read(&[b'x'; 100_000]).is_err()));
    }
}
