// What a person types: an example in the --help of every command of the key services and of the threshold root.
#pragma once

namespace CLI {
class App;
}

namespace attestry::app {

/// Once all commands are there; those that have examples of their own in their files keep them.
void add_examples(CLI::App& app);

}  // namespace attestry::app
