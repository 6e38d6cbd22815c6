//! RFC 6721: deletions of entries in a feed. They are advice, and never an error.

use harness::fake::{Atom, Entry, Reply};

use crate::support::{Reader, Recording, ids, serving};

harness::on_both_databases! {
    a_deleted_entry_has_no_effect
    an_entry_that_another_document_deletes_has_no_effect
    the_last_of_two_deletions_counts
    an_entry_published_again_is_applied
    a_deletion_undoes_nothing
    strange_deletions_are_no_error
    a_namespace_may_be_declared_where_it_is_used
}

const NAMESPACE: &str = "http://purl.org/atompub/tombstones/1.0";

/// A deletion at an instant.
fn deleted(id: &str, when: &str) -> String {
    format!(
        "<at:deleted-entry ref=\"{id}\" when=\"{when}\"><at:by><name>Somebody</name></at:by><at:comment>gone</at:comment>\
         <link rel=\"next\" href=\"/trap\"/></at:deleted-entry>"
    )
}

/// A feed that knows of deletions.
fn feed(entries: impl IntoIterator<Item = Entry>) -> Atom {
    Atom::foreign(entries).attribute("xmlns:at", NAMESPACE)
}

/// Three entries, the second of which was last changed at 10:00:02 UTC.
fn three() -> [Entry; 3] {
    let mut second = Entry::foreign(2);
    "2026-05-01T10:00:02Z".clone_into(&mut second.updated);
    [Entry::foreign(1), second, Entry::foreign(3)]
}

async fn a_deleted_entry_has_no_effect<B: Recording>(url: &str) {
    for (name, when) in [
        ("later", "2026-05-01T10:00:03Z"),
        ("in the same instant", "2026-05-01T12:00:02+02:00"),
        ("by a fraction", "2026-05-01T10:00:02.001Z"),
    ] {
        let document = feed(three()).with(&deleted(&ids([2])[0], when));
        let fake = serving(&document).await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        for _ in 0..2 {
            reader.takes(&ids([1, 3])).await;
        }
        assert!(fake.targets().iter().all(|target| target == "/feed"));
        // It is published again, with a newer date.
        let [one, mut two, three] = three();
        "2026-06-01T00:00:00Z".clone_into(&mut two.updated);
        let document = feed([one, two, three]).with(&deleted(&ids([2])[0], when));
        fake.at("/feed", Reply::feed(document.xml()));
        reader.takes(&ids([1, 3, 2])).await;
    }
}

async fn an_entry_that_another_document_deletes_has_no_effect<B: Recording>(url: &str) {
    let [one, two, three] = three();
    let gone = deleted(&ids([2])[0], "2026-06-01T00:00:00Z");
    let head = feed([three]).with(&gone).link("prev-archive", "/1");
    let fake = serving(&head).await;
    let page = Atom::foreign([one, two]).archive();
    fake.at("/1", Reply::feed(page.xml()));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids([1, 3])).await;
}

async fn the_last_of_two_deletions_counts<B: Recording>(url: &str) {
    let gone = ["2026-05-01T10:00:03Z", "2026-05-01T10:00:01Z"];
    let gone = gone.map(|when| deleted(&ids([2])[0], when));
    let fake = serving(&feed(three()).with(&gone.concat())).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids([1, 3])).await;
}

async fn an_entry_published_again_is_applied<B: Recording>(url: &str) {
    for (name, when) in [
        ("a second", "2026-05-01T10:00:01Z"),
        ("a fraction", "2026-05-01T10:00:01.999Z"),
        // As text it is later.
        ("elsewhere", "2026-05-01T11:59:59+02:00"),
    ] {
        let document = feed(three()).with(&deleted(&ids([2])[0], when));
        let fake = serving(&document).await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids([1, 3, 2])).await;
    }
}

async fn a_deletion_undoes_nothing<B: Recording>(url: &str) {
    let fake = serving(&feed(three())).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids([1, 3, 2])).await;
    let gone = deleted(&ids([2])[0], "2026-06-01T00:00:00Z");
    let document = feed([Entry::foreign(1), Entry::foreign(4)]).with(&gone);
    fake.at("/feed", Reply::feed(document.xml()));
    reader.takes(&ids([1, 3, 2, 4])).await;
}

async fn strange_deletions_are_no_error<B: Recording>(url: &str) {
    let strange = [
        "<at:deleted-entry/>".to_owned(),
        format!("<at:deleted-entry ref=\"{}\"/>", ids([1])[0]),
        "<at:deleted-entry when=\"2026-06-01T00:00:00Z\"/>".to_owned(),
        deleted(&ids([1])[0], "yesterday"),
        deleted(&ids([1])[0], ""),
        deleted("", "2026-06-01T00:00:00Z"),
        deleted("tag:nobody", "2026-06-01T00:00:00Z"),
        // Compared character by character, too.
        deleted(&ids([1])[0].to_uppercase(), "2026-06-01T00:00:00Z"),
        // The name alone means nothing.
        format!(
            "<deleted-entry xmlns=\"urn:none\" ref=\"{}\" when=\"2026-06-01T00:00:00Z\"/>",
            ids([1])[0]
        ),
    ];
    let fake = serving(&feed(three()).with(&strange.concat())).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids([1, 3, 2])).await;
}

async fn a_namespace_may_be_declared_where_it_is_used<B: Recording>(url: &str) {
    let gone = deleted(&ids([2])[0], "2026-06-01T00:00:00Z");
    for (name, prefix) in [("the usual prefix", "at"), ("another", "x")] {
        let declared = format!("<{prefix}:deleted-entry xmlns:{prefix}=\"{NAMESPACE}\"");
        let gone = gone.replace("at:", &format!("{prefix}:"));
        let gone = gone.replacen(&format!("<{prefix}:deleted-entry"), &declared, 1);
        let fake = serving(&Atom::foreign(three()).with(&gone)).await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids([1, 3])).await;
    }
}
