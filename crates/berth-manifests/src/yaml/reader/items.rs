//! Where the items of a long List stand: found without holding the trees of more than one.

use granit_parser::Event;

use super::{Reader, reader};
use crate::yaml::{Kind, Node, Span, Style};

/// The items of a `v1` `List`.
#[derive(Debug)]
pub struct Items {
    /// Where each stands, in their order.
    pub spans: Vec<Span>,
    /// How the list of them is written.
    pub style: Style,
}

/// The items of a text that is one `v1` `List` and nothing else.
///
/// Nothing where a part of the text could mean another thing by itself than it does here: where it has an anchor, a
/// directive, a key twice, or anything that cannot be read.
#[must_use]
pub fn items(text: &str) -> Option<Items> {
    let mut reader = reader(text);
    let items = reader.items()?;
    let is_whole = reader.errors.is_empty() && reader.duplicates.is_empty();
    let before = text.get(..items.spans.first()?.start)?;
    (is_whole && !before.contains('%')).then_some(items)
}

impl<'t> Reader<'t> {
    fn items(&mut self) -> Option<Items> {
        self.root()?;
        let (mut items, mut head) = (None, Vec::new());
        loop {
            let (event, span) = self.next().ok()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.alone(event, span)?;
            let key = key.as_str()?.to_owned();
            match self.next().ok()? {
                (Event::SequenceStart(style, 0, _), _) if key == "items" && items.is_none() => {
                    let spans = self.spans()?;
                    let style = style.into();
                    items = Some(Items { spans, style });
                }
                (event, span) => head.push((key, self.alone(event, span)?)),
            }
        }
        self.end()?;
        let of = |key: &str| -> Vec<&Node> {
            let values = head.iter().filter(|(it, _)| it == key);
            values.map(|(_, value)| value).collect()
        };
        let is = |key, text| matches!(&*of(key), [only] if only.as_str() == Some(text));
        let is_list = is("apiVersion", "v1") && is("kind", "List");
        let has_more = ["items", "<<"].iter().any(|key| !of(key).is_empty());
        items.filter(|_| is_list && !has_more)
    }

    /// Up to the first key of the text's only mapping.
    fn root(&mut self) -> Option<()> {
        loop {
            match self.next().ok()?.0 {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::MappingStart(_, 0, _) => return Some(()),
                _ => return None,
            }
        }
    }

    /// Behind the mapping's end, where nothing else may come.
    fn end(&mut self) -> Option<()> {
        loop {
            match self.next().ok()?.0 {
                Event::DocumentEnd => {}
                Event::StreamEnd => return Some(()),
                _ => return None,
            }
        }
    }

    fn spans(&mut self) -> Option<Vec<Span>> {
        let mut spans = Vec::new();
        loop {
            let (event, span) = self.next().ok()?;
            if matches!(event, Event::SequenceEnd) {
                return Some(spans);
            }
            let item = self.alone(event, span)?;
            // what is not an object is told with the whole List around it
            if !matches!(item.kind, Kind::Mapping(_)) {
                return None;
            }
            spans.push(item.span);
        }
    }

    /// A node that means the same without the rest of the text.
    fn alone(&mut self, event: Event<'t>, span: Span) -> Option<Node> {
        let node = self.node(event, span).ok()?;
        self.anchors.is_empty().then_some(node)
    }
}
