//! As much of HTML as the tests need: tags, and tables with the exact values of their figures.

/// A tag: its name, with a slash if it closes, and its attributes as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    pub(crate) name: &'a str,
    pub(crate) attributes: &'a str,
}

impl Tag<'_> {
    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.attributes.split_once(&format!(" {name}=\""))?;
        Some(rest.split_once('"')?.0)
    }
}

/// Every tag outside of style and script, in order.
pub(crate) fn tags(page: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once('<') {
        let (inside, after) = after.split_once('>').expect("a tag ends");
        let end = inside.find([' ', '\n']).unwrap_or(inside.len());
        let tag = Tag { name: &inside[..end], attributes: &inside[end..] };
        rest = match tag.name {
            "style" | "script" => after.split_once(&format!("</{}", tag.name)).expect("it closes").1,
            _ => after,
        };
        tags.push(tag);
    }
    tags
}

/// The rows of a table's body by the id of its caption: keys as text, figures as their exact values or as text.
pub(crate) fn table(page: &str, id: &str) -> Vec<Vec<String>> {
    let (_, rest) = page.split_once(&format!("<caption id=\"{id}\"")).expect("the table is there");
    let (_, rest) = rest.split_once("<tbody>").expect("it has a body");
    let (body, _) = rest.split_once("</tbody>").expect("which ends");
    let cells = |row: &str| {
        let cells = row.split(['\u{1}']).skip(1);
        cells.map(value).collect::<Vec<String>>()
    };
    let marked = body.replace("<th", "\u{1}<th").replace("<td", "\u{1}<td");
    marked.split("<tr").skip(1).map(cells).collect()
}

/// The heads of a table's columns.
pub(crate) fn heads(page: &str, id: &str) -> Vec<String> {
    let (_, rest) = page.split_once(&format!("<caption id=\"{id}\"")).expect("the table is there");
    let (head, _) = rest.split_once("</thead>").expect("it has a head");
    head.split("<th ").skip(1).map(|cell| text(&format!("<th {cell}"))).collect()
}

fn value(cell: &str) -> String {
    match cell.split_once("<data value=\"") {
        Some((_, rest)) => rest.split_once('"').expect("a value ends").0.to_owned(),
        None => text(cell),
    }
}

fn text(markup: &str) -> String {
    let outside = markup.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    outside.collect::<String>().trim().to_owned()
}
