"""IDL to C++: the compiler that turns protocol/idl/*.idl into types, NDR codecs, proxies and skeletons."""
