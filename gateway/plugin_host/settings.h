// plugin_host/settings.h: settings as the operator wrote them, checked against a plugin's schema.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "postern/sdk/settings.h"

namespace postern::plugin_host {

// Gives every setting its type, completes the defaults and makes paths absolute (`base_directory`
// is what relative ones are relative to). The error (invalid) has one issue for everything that is
// wrong, its path being `path_prefix` + "." + name (`path_prefix` may be empty), its code one of
// unknown_key, duplicate, required, wrong_type, out_of_range, unknown_choice, bad_text.
//
// No message holds the value of a secret field; with `all_secret` (for credentials) of none.
Result<sdk::Settings> resolve(const sdk::Schema& schema,
                              const std::vector<sdk::RawSetting>& settings,
                              std::string_view base_directory, std::string_view path_prefix,
                              bool all_secret = false);

// What is wrong with a schema itself: names that are none or come twice, choices without a choice,
// defaults that their own field would refuse, min above max, required with a default. Each issue's
// path is `path_prefix` + "." + field + "." + what.
std::vector<Issue> check_schema(const sdk::Schema& schema, std::string_view path_prefix);

}  // namespace postern::plugin_host
