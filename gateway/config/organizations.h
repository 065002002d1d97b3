// config/organizations.h: the organizations, their keys and provider accounts.
#pragma once

#include <vector>

#include "config/config.h"
#include "config/reader.h"

namespace postern::config {

std::vector<Organization> read_organizations(Reader& reader, const Mapping& root);

}  // namespace postern::config
