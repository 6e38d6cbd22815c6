//! Customers and items: lists, additions and changes, by JSON or by forms.

use feed_chassis::list;
use feed_chassis::openapi::{Answer, Description, Operation, Parameter, Schema};
use schemars::JsonSchema;

use super::common::{NO_PARAMETERS, same_origin, searched};
use crate::order::{Customer, CustomerId, Item, ItemId};
use crate::rules::{DraftCustomer, DraftItem};

/// What a search among the customers finds.
const CUSTOMER: &str = "Those with each of these words in name or e-mail address, in any order and any case; and the customer with this number";
/// What a search among the items finds.
const ITEM: &str = "Those with each of these words in the name, in any order and any case; and the item with this number";

pub(super) fn customers() -> Description {
    let list = Operation::get("/customers", "customers", "The customers, newest first");
    let create = Operation::post("/customers", "addCustomer", "Add a customer");
    let path = "/customers/{id}";
    let show = Operation::get(path, "customer", "A customer");
    let replace = Operation::put(path, "changeCustomer", "Change a customer");
    let change = Operation::post(
        path,
        "changeCustomerByForm",
        "Change a customer by the form",
    );
    let id = || Parameter::path("id", "The customer's number", Schema::of::<CustomerId>());
    Description::of(
        "Customers",
        "Who orders. What was sold to them keeps their name as it was then",
        [
            list::describe::<Customer>(searched(list, CUSTOMER), "customers"),
            created::<DraftCustomer, Customer>(create),
            shown::<Customer>(show.parameter(id())),
            replaced::<DraftCustomer, Customer>(replace.parameter(id())),
            changed::<DraftCustomer>(change.parameter(id())),
        ],
    )
}

pub(super) fn items() -> Description {
    let list = Operation::get("/items", "items", "The items, newest first");
    let create = Operation::post("/items", "addItem", "Add an item");
    let path = "/items/{id}";
    let show = Operation::get(path, "item", "An item");
    let replace = Operation::put(path, "changeItem", "Change an item");
    let change = Operation::post(path, "changeItemByForm", "Change an item by the form");
    let id = || Parameter::path("id", "The item's number", Schema::of::<ItemId>());
    Description::of(
        "Items",
        "What can be ordered. What was sold keeps its name and price as they were then",
        [
            list::describe::<Item>(searched(list, ITEM), "items"),
            created::<DraftItem, Item>(create),
            shown::<Item>(show.parameter(id())),
            replaced::<DraftItem, Item>(replace.parameter(id())),
            changed::<DraftItem>(change.parameter(id())),
        ],
    )
}

/// What the tag of a document is for.
const TAG: &str = "Identifies this state: a change with it in `If-Match` replaces no other";

fn created<New: JsonSchema, Known: JsonSchema>(create: Operation) -> Operation {
    let added = Answer::new(201, "It is added")
        .header("Location", "Its address")
        .header("ETag", TAG)
        .json(Schema::of::<Known>());
    same_origin(create)
        .json(Schema::of::<New>())
        .form(Schema::of::<New>())
        .answer(added)
        .answer(Answer::new(303, "It is added by the form").header("Location", "The list"))
        .answer(refused().html())
        .problem(400, "The body is not JSON")
}

fn shown<Known: JsonSchema>(show: Operation) -> Operation {
    let known = Answer::new(200, "As it is now").json(Schema::of::<Known>());
    show.answer(known.html())
        .conditional()
        .problem(400, NO_PARAMETERS)
        .problem(404, "There is none")
}

fn replaced<New: JsonSchema, Known: JsonSchema>(replace: Operation) -> Operation {
    let known = Answer::new(200, "It is changed")
        .header("ETag", TAG)
        .json(Schema::of::<Known>());
    same_origin(replace)
        .guarded()
        .json(Schema::of::<New>())
        .answer(known)
        .answer(refused())
        .problem(400, "The body is not JSON, or there is a parameter")
        .problem(404, "There is none")
}

fn changed<New: JsonSchema>(change: Operation) -> Operation {
    let about = "The form has a field `version` too, which names the state that it showed, as `If-Match` does. Without \
                 it the change replaces any state.";
    let conflict = "The form again, and what was changed since that state";
    same_origin(change)
        .about(about)
        .guarded()
        .form(Schema::of::<New>())
        .answer(Answer::new(303, "It is changed").header("Location", "The list"))
        .answer(Answer::new(409, conflict).html())
        .answer(Answer::new(422, "The form again, with what is wrong").html())
        .problem(400, NO_PARAMETERS)
        .problem(404, "There is none")
}

fn refused() -> Answer {
    Answer::new(422, "It breaks rules: `errors` names each field").problem()
}
