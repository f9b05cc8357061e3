//! Parts a stream of server-sent events into events, whatever its chunks and line ends.

/// What a stream brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Event {
        name: String,
        data: String,
    },
    /// An event that was longer than the limit.
    TooLong,
}

/// Holds what has arrived of the next event, never more than the limit.
#[derive(Debug)]
pub(super) struct Decoder {
    limit: usize,
    line: Vec<u8>,
    /// A line feed that follows belongs to the line's end before it.
    after_return: bool,
    name: String,
    data: String,
    too_long: bool,
}

impl Decoder {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            after_return: false,
            name: String::new(),
            data: String::new(),
            too_long: false,
        }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for &byte in chunk {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => frames.extend(self.end_line()),
                _ if self.line.len() + self.data.len() < self.limit => self.line.push(byte),
                _ => self.too_long = true,
            }
        }
        frames
    }

    fn end_line(&mut self) -> Option<Frame> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.dispatch();
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // A comment, or a field that Marathon does not use.
            _ => {}
        }
        None
    }

    /// An empty line ends an event; without one before it, it is a heartbeat.
    fn dispatch(&mut self) -> Option<Frame> {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if std::mem::take(&mut self.too_long) {
            return Some(Frame::TooLong);
        }
        (!data.is_empty()).then_some(Frame::Event { name, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str, data: &str) -> Frame {
        Frame::Event { name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_read_with_any_line_end() {
        for end in ["\r\n", "\n", "\r"] {
            let text = format!(
                "event: a{end}data: {{}}{end}{end}{end}: c{end}event:b{end}data:1{end}data: 2{end}{end}"
            );
            let frames = Decoder::new(1000).feed(text.as_bytes());
            assert_eq!(frames, [event("a", "{}"), event("b", "1\n2")], "{end:?}");
        }
    }

    #[test]
    fn an_event_over_the_limit_is_told_and_the_next_one_read() {
        let mut decoder = Decoder::new(20);
        let long =
            format!("event: big\ndata: {}\ndata: more\n\nevent: a\ndata: 1\n\n", "x".repeat(1_000_000));
        assert_eq!(decoder.feed(long.as_bytes()), [Frame::TooLong, event("a", "1")]);
        assert!(decoder.line.capacity() < 100, "{}", decoder.line.capacity());
    }

    #[test]
    fn an_event_that_has_not_ended_is_none() {
        let mut decoder = Decoder::new(1000);
        assert_eq!(decoder.feed(b"event: a\r\ndata: 1\r\n"), []);
        assert_eq!(decoder.feed(b"\r\n"), [event("a", "1")]);
    }

    proptest! {
        #[test]
        fn chunks_change_nothing(
            events in prop::collection::vec(("[a-z]{1,5}", "[ -~]{1,20}"), 0..6),
            size in 1_usize..9,
        ) {
            let text: String = events.iter().map(|(name, data)| format!("event: {name}\r\ndata:  {data}\r\n\r\n\r\n")).collect();
            let mut decoder = Decoder::new(10_000);
            let frames: Vec<_> = text.as_bytes().chunks(size).flat_map(|chunk| decoder.feed(chunk)).collect();
            let expected: Vec<_> = events.iter().map(|(name, data)| event(name, &format!(" {data}"))).collect();
            prop_assert_eq!(frames, expected);
        }

        #[test]
        fn no_bytes_bring_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            Decoder::new(50).feed(&bytes);
        }
    }
}
